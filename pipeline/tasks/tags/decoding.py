"""The most probable valid sequence of tags, by the Viterbi algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


class Transitions(NamedTuple):
    """Which sequences of tags are valid.

    Attributes:
        first: whether a sentence can begin with a tag. *Shape:* ``(n_tags,)``, bool.
        next: whether a tag (column) can follow another (row). *Shape:* ``(n_tags, n_tags)``, bool.
    """

    first: Bools
    next: Bools


def iob2_transitions(tags: Sequence[str]) -> Transitions:
    """Return the transitions of IOB2: ``I-x`` only follows ``B-x`` or ``I-x``.

    If a type has no tag ``B-x``, its ``I-x`` can follow any tag.

    Args:
        tags: tags of the model, in the order of its outputs.
    """
    inside = np.array([tag.startswith("I-") and f"B-{tag[2:]}" in tags for tag in tags])    # (n_tags,)
    continues = np.array([[before[:2] in ("B-", "I-") and before[2:] == tag[2:] for tag in tags] for before in tags])
    return Transitions(first=~inside, next=~inside[None, :] | continues)


def best_sequence(scores: Floats, transitions: Transitions) -> NDArray[np.int64]:
    """Return the valid sequence with the highest sum of scores; of several, one.

    At least one tag must be valid at the beginning and after each tag, as ``O`` is.

    Args:
        scores: scores of the tags of each word, such as log-probabilities. *Shape:* ``(n_words, n_tags)``, finite.
        transitions: which sequences are valid.

    Returns:
        Number of the tag of each word. *Shape:* ``(n_words,)``.
    """
    if not len(scores):
        return np.zeros(0, dtype=np.int64)
    penalty = np.where(transitions.next, 0.0, -np.inf)                                      # (n_tags, n_tags)
    best = np.where(transitions.first, scores[0].astype(np.float64), -np.inf)               # (n_tags,)
    before = np.zeros(scores.shape, dtype=np.int64)
    for i in range(1, len(scores)):
        paths = best[:, None] + penalty                                                     # (n_tags, n_tags)
        before[i] = paths.argmax(axis=0)
        best = paths.max(axis=0) + scores[i]
    chosen = [int(best.argmax())]
    for came_from in before[:0:-1]:
        chosen.append(int(came_from[chosen[-1]]))
    return np.array(chosen[::-1], dtype=np.int64)
