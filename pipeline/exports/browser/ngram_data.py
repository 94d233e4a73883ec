"""The n-gram branch of a run for the page: int8 weights, or int16 weights for a small branch.

If there is little space, only the most important n-grams have weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.exports.browser.quantized import gaps, packed_size
from transformer.models.ngram_branch import NgramBranch

N_LEVELS = 256
N_HALVINGS = 7
SMALL = 0.05  # share of the room up to which a branch is small

Codes = NDArray[np.int8] | NDArray[np.int16]


@dataclass(frozen=True)
class NgramData:
    """A branch whose weights are integers with a scale for each column: ``w = sign(q) (q / largest)^2 scale``.

    The square reduces the relative error of small weights, which most n-grams have. Buckets without weights
    keep their inverse document frequency, which the length of a text's row needs.

    Attributes:
        kept: buckets with weights, ascending. *Shape:* ``(n_kept,)``.
        others: further buckets that training texts have, ascending. *Shape:* ``(n_others,)``.
        values: int8 or int16. *Shape:* ``(n_kept, n_outputs)``.
        scales: float32. *Shape:* ``(n_outputs,)``.
        codes: number of the level of each inverse document frequency, of the kept buckets first.
            *Shape:* ``(n_kept + n_others,)``, uint8.
        levels: inverse document frequencies, float32. *Shape:* at most ``(256,)``.
        bias: float32. *Shape:* ``(n_outputs,)``.
    """

    kept: NDArray[np.int64]
    others: NDArray[np.int64]
    values: Codes
    scales: NDArray[np.float32]
    codes: NDArray[np.uint8]
    levels: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def of(cls, branch: NgramBranch, share: float, dtype: type[np.int8] | type[np.int16] = np.int8) -> NgramData:
        """Quantise a branch.

        Args:
            branch: the fitted branch.
            share: share of the buckets with a weight that is not zero whose weights are kept, those with the largest
                product of weight and inverse document frequency.
            dtype: type of the weights.
        """
        idf, weight = branch.idf.cpu().numpy(), branch.weight.cpu().numpy()
        used = np.flatnonzero(idf > 0)
        scales = np.abs(weight).max(axis=0).astype(np.float32)                              # (n_outputs,)
        relative = weight[used] / np.where(scales > 0, scales, 1)                           # (n_used, n_outputs)
        values = np.rint(np.iinfo(dtype).max * np.sign(relative) * np.sqrt(np.abs(relative))).astype(dtype)
        importance = np.where(values.any(axis=1), np.abs(weight[used]).max(axis=1) * idf[used], 0.0)
        n_kept = round(share * int((importance > 0).sum()))
        is_kept = np.zeros(len(used), dtype=bool)
        is_kept[np.argsort(-importance, kind="stable")[:n_kept]] = True
        levels, codes = _levels(idf[used])
        return cls(used[is_kept], used[~is_kept], values[is_kept], scales,
                   np.concatenate([codes[is_kept], codes[~is_kept]]), levels, branch.bias.cpu().numpy())

    @classmethod
    def within(cls, branch: NgramBranch, room: int) -> NgramData:
        """Quantise a branch, with as many weights as fit into ``room`` characters of the page."""
        precise = cls.of(branch, 1.0, np.int16)
        if precise.size() <= SMALL * room:
            return precise
        whole = cls.of(branch, 1.0)
        if whole.size() <= room:
            return whole
        low, high = 0.0, 1.0
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if cls.of(branch, middle).size() <= room else (low, middle)
        return cls.of(branch, low)

    def size(self) -> int:
        """Return the number of characters in the page."""
        return packed_size(self.arrays())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {"ngrams.scales": self.scales, "ngrams.bias": self.bias, "ngrams.idf_levels": self.levels,
                "ngrams.idf_codes": self.codes, "ngrams.kept": gaps(self.kept), "ngrams.others": gaps(self.others),
                "ngrams.weights": self.values}

    def into(self, branch: NgramBranch) -> None:
        """Set the buffers of a branch to the values that the page computes with."""
        idf = np.zeros(branch.idf.shape, np.float32)
        idf[np.concatenate([self.kept, self.others])] = self.levels[self.codes]
        weight = np.zeros(branch.weight.shape, np.float32)
        weight[self.kept] = np.sign(self.values) * (self.values / np.iinfo(self.values.dtype).max) ** 2 * self.scales
        branch.idf.copy_(torch.from_numpy(idf))
        branch.weight.copy_(torch.from_numpy(weight))


def _levels(idf: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return at most 256 levels, and the number of the nearest one of each value."""
    levels = np.unique(idf)
    if len(levels) > N_LEVELS:
        levels = np.linspace(idf.min(), idf.max(), N_LEVELS, dtype=np.float32)
    after = np.searchsorted(levels, idf).clip(1, max(1, len(levels) - 1))
    if len(levels) < 2:
        return levels, np.zeros(len(idf), np.uint8)
    nearer = np.abs(levels[after] - idf) < np.abs(levels[after - 1] - idf)
    return levels, (after - 1 + nearer).astype(np.uint8)
