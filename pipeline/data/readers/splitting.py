"""Split examples into parts: stratified and at random with no text on both sides, or in their order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

E = TypeVar("E")

MIN_DEV = 50
"""Minimum size of a dev set that is set aside. With 50 examples the standard error of a share is already 4 to 7 points:
a smaller set would choose an epoch by chance, at the cost of labels."""
MAX_DEV = 20_000
"""Maximum size of a dev set that is set aside: the standard error of a share is at most 0.35 points."""


def split_off(
    examples: Sequence[E], share: float, *, seed: int, key: Callable[[E], Hashable], label: Callable[[E], str]
) -> tuple[list[E], list[E]]:
    """Set a share of the examples aside, the same share of every label (stratified sampling).

    Examples with equal keys stay on one side; their label is that of the first.

    Returns:
        The remaining examples and those set aside, both in their original order.
    """
    firsts: dict[Hashable, int] = {}
    repeated: dict[int, list[int]] = defaultdict(list)
    for i, example in enumerate(examples):
        if (first := firsts.setdefault(key(example), i)) != i:
            repeated[first].append(i)
    by_label: dict[str, list[int]] = defaultdict(list)
    for first in firsts.values():
        by_label[label(examples[first])].append(first)
    random = np.random.default_rng(seed)
    aside: set[int] = set()
    for name in sorted(by_label):
        of_label = by_label[name]
        for chosen in random.permutation(len(of_label))[: round(share * len(of_label))]:
            aside.update((of_label[chosen], *repeated.get(of_label[chosen], ())))
    kept = [example for i, example in enumerate(examples) if i not in aside]
    return kept, [example for i, example in enumerate(examples) if i in aside]


def draw_evenly(
    examples: Sequence[E], n: int, *, seed: int, label: Callable[[E], str]
) -> tuple[list[E], list[E]]:
    """Draw ``n`` examples, balanced over the labels as far as there are enough of each.

    Returns:
        The drawn examples and the rest, both in their original order.
    """
    by_label: dict[str, list[int]] = defaultdict(list)
    for i, example in enumerate(examples):
        by_label[label(example)].append(i)
    random = np.random.default_rng(seed)
    queues = [[by_label[name][i] for i in random.permutation(len(by_label[name]))] for name in sorted(by_label)]
    drawn: set[int] = set()
    while len(drawn) < min(n, len(examples)):
        for queue in queues:
            if queue and len(drawn) < n:
                drawn.add(queue.pop())
    taken = [example for i, example in enumerate(examples) if i in drawn]
    return taken, [example for i, example in enumerate(examples) if i not in drawn]


def cut_in_order(examples: Sequence[E], n: int) -> tuple[list[E], list[E]]:
    """Return the first ``n`` examples and the rest."""
    return list(examples[:n]), list(examples[n:])


def dev_size(n: int, share: float) -> int:
    """Return how many of ``n`` examples to set aside as dev, up to ``MAX_DEV``; 0 if fewer than ``MIN_DEV``."""
    size = min(round(share * n), MAX_DEV)
    return size if size >= MIN_DEV else 0
