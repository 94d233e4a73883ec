"""The training texts that the n-gram branch is fitted on, if not all of them fit into memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified_sample(gold: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """Draw examples so that each label has its share of them, and a rare label at least one.

    Args:
        gold: number of the label of each example. *Shape:* ``(n_examples,)``, int64.
        n: number of examples to draw, at least that of the labels and at most that of the examples.
        seed: of the draw.

    Returns:
        Their rows, in ascending order. *Shape:* ``(n,)``, int64.
    """
    shuffled = np.random.default_rng(seed).permutation(len(gold))                           # (n_examples,)
    by_label = shuffled[np.argsort(gold[shuffled], kind="stable")]
    sizes = np.bincount(gold)                                                               # (n_labels,)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    shares = (np.arange(len(gold)) - starts) / np.repeat(sizes, sizes)  # of the examples of its label drawn before each
    return np.sort(by_label[np.argsort(shares, kind="stable")[:n]])
