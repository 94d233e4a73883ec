"""Texts of unequal lengths without the padding between them, so that no layer computes what nobody reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

WORTH = 0.95  # with a larger share of real words, moving them costs more than their padding


@dataclass(frozen=True)
class Packing:
    """Where the words of a padded batch stand.

    Attributes:
        batch: texts.
        length: places of each, padding included.
        words: places that hold a word, counted through the whole batch. *Shape:* ``(n_words,)``, int64.
        n_rows: words, rounded up: every new size of a matrix product costs the time of many of an old one.
    """

    batch: int
    length: int
    words: Tensor
    n_rows: int

    @classmethod
    def of(cls, padding_mask: Tensor) -> Packing | None:
        """The packing of a batch, or None where there is too little padding to be worth it.

        Args:
            padding_mask: True where there is a word. *Shape:* ``(batch, length)``, bool.
        """
        words = padding_mask.flatten().nonzero()[:, 0]
        n_rows = rounded_up(len(words))
        if n_rows > WORTH * padding_mask.numel():
            return None
        return cls(padding_mask.shape[0], padding_mask.shape[1], words, n_rows)

    def pack(self, x: Tensor) -> Tensor:
        """Leave the padding out. *Shape:* ``(batch, length, width)`` to ``(n_rows, width)``, rows of zeros last."""
        packed = x.flatten(0, 1).index_select(0, self.words)
        return F.pad(packed, (0, 0, 0, self.n_rows - len(packed)))

    def unpack(self, x: Tensor) -> Tensor:
        """Put padding of zeros between again. *Shape:* ``(n_rows, width)`` to ``(batch, length, width)``."""
        padded = x.new_zeros(self.batch * self.length, x.shape[1])
        return padded.index_copy(0, self.words, x[: len(self.words)]).view(self.batch, self.length, x.shape[1])


def rounded_up(n: int) -> int:
    """The next of sixteen sizes in each doubling, at most 7% larger, and of the multiples of 8."""
    step = max(8, 1 << max(0, n.bit_length() - 5))
    return -(-n // step) * step
