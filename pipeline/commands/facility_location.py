"""Selection of texts that represent a pool: greedy maximisation of weighted facility location.

The value of a selection is the sum over the pool of weight x similarity to the most similar selected text. Greedy
selection reaches at least 63% of the largest value (Nemhauser et al. 1978). With weights for uncertainty, it is a
selection for labelling (Wei, Iyer & Bilmes 2015, "Submodularity in Data Subset Selection and Active Learning").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Selected(NamedTuple):
    """A selected text.

    Attributes:
        row: its row among the candidates.
        gain: increase of the value, as a share of the sum of the weights.
        represents: number of texts of the pool of which it is the most similar selected text.
    """

    row: int
    gain: float
    represents: int


def unit(vectors: Floats, mean: Floats, scale: Floats) -> Floats:
    """Standardise vectors and scale them to length 1; a zero vector stays zero. *Shape:* ``(n, dim)``, float32."""
    centred = np.where(vectors.any(axis=1, keepdims=True), (vectors - mean) / scale, 0).astype(np.float32)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    made: Floats = centred / np.maximum(lengths, 1e-9)
    return made


def select(candidates: Floats, pool: Floats, weights: Floats, n: int, labelled: Floats | None = None) -> list[Selected]:
    """Select candidates one by one, each with the largest gain; of equal gains, the first candidate.

    Args:
        candidates: vectors of length 1. *Shape:* ``(n_candidates, dim)``, float32.
        pool: vectors of the texts to represent, of length 1. *Shape:* ``(n_pool, dim)``, float32.
        weights: weight of each text of the pool. *Shape:* ``(n_pool,)``, float32.
        n: number of candidates to select, at most all.
        labelled: vectors of texts that represent the pool already. *Shape:* ``(n_labelled, dim)``, float32.

    Returns:
        In the order of the selection.
    """
    similarity = np.maximum(pool @ candidates.T, 0)                                     # (n_pool, n_candidates)
    covered = np.zeros(len(pool), np.float32)
    if labelled is not None and len(labelled):
        covered = np.maximum(pool @ labelled.T, 0).max(axis=1)                          # (n_pool,)
    total = max(float(weights.sum()), 1e-12)
    nearest = np.full(len(pool), -1)
    is_free = np.ones(len(candidates), dtype=bool)
    chosen: list[tuple[int, float]] = []
    for _ in range(min(n, len(candidates))):
        gains = weights @ np.maximum(similarity - covered[:, None], 0)                  # (n_candidates,)
        row = int(np.where(is_free, gains, -1).argmax())
        nearest[similarity[:, row] > covered] = len(chosen)
        covered = np.maximum(covered, similarity[:, row])
        is_free[row] = False
        chosen.append((row, float(gains[row]) / total))
    counts = np.bincount(nearest[nearest >= 0], minlength=len(chosen))
    return [Selected(row, gain, int(count)) for (row, gain), count in zip(chosen, counts, strict=True)]
