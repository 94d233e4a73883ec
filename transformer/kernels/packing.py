"""Texts of unequal lengths without the padding between them, so that no layer computes what nobody reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

WORTH = 0.95  # with a larger share of real words, moving them costs more than their padding


@dataclass(frozen=True)
class Packing:
    """Where the words of a padded batch stand.

    Attributes:
        padding_mask: True where there is a word. *Shape:* ``(batch, length)``, bool.
        words: places that hold a word, counted through the whole batch. *Shape:* ``(n_words,)``, int64.
        n_rows: words, rounded up: torch's matrix products take the time of many old ones for each new size.
        compiled: made for compiled layers (:mod:`transformer.kernels.native_layer`): a row for each word and none
            beside, and nothing but this says what a word sees.
        causal: no word sees those behind it; for compiled layers.
    """

    padding_mask: Tensor
    words: Tensor
    n_rows: int
    compiled: bool = False
    causal: bool = False

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
        return cls(padding_mask, words, n_rows)

    @classmethod
    def for_compiled(cls, padding_mask: Tensor, *, causal: bool) -> Packing:
        """The packing for compiled layers, with padding or without."""
        words = padding_mask.flatten().nonzero()[:, 0]
        return cls(padding_mask, words, len(words), compiled=True, causal=causal)

    @property
    def batch(self) -> int:
        """Number of texts."""
        return self.padding_mask.shape[0]

    @property
    def length(self) -> int:
        """Places of each text, padding included."""
        return self.padding_mask.shape[1]

    @cached_property
    def starts(self) -> Tensor:
        """The first row of each text, and the number of words. *Shape:* ``(batch + 1,)``, int64."""
        return F.pad(self.padding_mask.sum(dim=1).cumsum(dim=0), (1, 0))

    @cached_property
    def places(self) -> Tensor:
        """Where each word stands in its text, from 0. *Shape:* ``(n_words,)``, int64."""
        lengths = self.starts.diff()
        return torch.arange(len(self.words)) - self.starts[:-1].repeat_interleave(lengths)

    def pack(self, x: Tensor) -> Tensor:
        """Leave the padding out. *Shape:* ``(batch, length, ...)`` to ``(n_rows, ...)``, rows of zeros last."""
        flat = x.flatten(0, 1)
        if self.n_rows == len(flat):
            return flat
        packed = flat.index_select(0, self.words)
        return F.pad(packed, (0, 0, 0, self.n_rows - len(packed))) if self.n_rows > len(packed) else packed

    def unpack(self, x: Tensor) -> Tensor:
        """Put padding of zeros between again. *Shape:* ``(n_rows, width)`` to ``(batch, length, width)``."""
        if self.n_rows == self.batch * self.length:
            return x.view(self.batch, self.length, -1)
        padded = x.new_zeros(self.batch * self.length, x.shape[1])
        return padded.index_copy(0, self.words, x[: len(self.words)]).view(self.batch, self.length, x.shape[1])


def rounded_up(n: int) -> int:
    """The next of sixteen sizes in each doubling, at most 7% larger, and of the multiples of 8."""
    step = max(8, 1 << max(0, n.bit_length() - 5))
    return -(-n // step) * step
