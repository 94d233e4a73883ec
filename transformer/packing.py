"""Texts of unequal lengths without the padding between them, so that no layer computes what nobody reads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

WORTH = 0.95  # with a larger share of real words, moving them costs more than their padding


@dataclass(frozen=True)
class Packing:
    """Where the words of a padded batch stand.

    Attributes:
        batch: texts.
        length: places of each, padding included.
        words: places that hold a word, counted through the whole batch. *Shape:* ``(n_words,)``, int64.
    """

    batch: int
    length: int
    words: Tensor

    @classmethod
    def of(cls, padding_mask: Tensor) -> Packing | None:
        """The packing of a batch, or None where there is too little padding to be worth it.

        Args:
            padding_mask: True where there is a word. *Shape:* ``(batch, length)``, bool.
        """
        words = padding_mask.flatten().nonzero()[:, 0]
        if len(words) > WORTH * padding_mask.numel():
            return None
        return cls(padding_mask.shape[0], padding_mask.shape[1], words)

    def pack(self, x: Tensor) -> Tensor:
        """Leave the padding out. *Shape:* ``(batch, length, ...)`` to ``(n_words, ...)``."""
        return x.flatten(0, 1).index_select(0, self.words)

    def unpack(self, x: Tensor) -> Tensor:
        """Put padding of zeros between again. *Shape:* ``(n_words, ...)`` to ``(batch, length, ...)``."""
        padded = x.new_zeros(self.batch * self.length, *x.shape[1:])
        return padded.index_copy(0, self.words, x).view(self.batch, self.length, *x.shape[1:])
