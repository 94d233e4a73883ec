"""Texts of different lengths stored without the padding between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """The real tokens of a padded batch, as rows one after another.

    Attributes:
        padding_mask: True for real tokens. *Shape:* ``(batch, length)``, bool.
        causal: a token cannot attend to later tokens.
    """

    padding_mask: Tensor
    causal: bool = False

    @cached_property
    def tokens(self) -> Tensor:
        """Indices of the real tokens in the flattened batch. *Shape:* ``(n_rows,)``, int64."""
        return torch.from_numpy(np.flatnonzero(self.padding_mask.numpy()))

    @property
    def n_rows(self) -> int:
        """Number of real tokens."""
        return len(self.tokens)

    @property
    def batch(self) -> int:
        """Number of texts."""
        return self.padding_mask.shape[0]

    @property
    def length(self) -> int:
        """Length of the padded texts."""
        return self.padding_mask.shape[1]

    @cached_property
    def starts(self) -> Tensor:
        """First row of each text, and the number of rows. *Shape:* ``(batch + 1,)``, int64."""
        ends = self.padding_mask.numpy().sum(axis=1).cumsum()  # NumPy takes a third of PyTorch's time for small arrays
        return torch.from_numpy(np.concatenate([[0], ends]))

    @cached_property
    def positions(self) -> Tensor:
        """Position of each token in its text, from 0. *Shape:* ``(n_rows,)``, int64."""
        lengths = self.starts.diff()
        return torch.arange(self.n_rows) - self.starts[:-1].repeat_interleave(lengths)

    def pack(self, x: Tensor) -> Tensor:
        """Remove the padding. *Shape:* ``(batch, length, ...)`` to ``(n_rows, ...)``."""
        flat = x.flatten(0, 1)
        return flat if self.n_rows == len(flat) else flat.index_select(0, self.tokens)

    def unpack(self, x: Tensor) -> Tensor:
        """Insert padding of zeros. *Shape:* ``(n_rows, width)`` to ``(batch, length, width)``."""
        if self.n_rows == self.batch * self.length:
            return x.view(self.batch, self.length, -1)
        padded = x.new_zeros(self.batch * self.length, x.shape[1])
        return padded.index_copy(0, self.tokens, x).view(self.batch, self.length, x.shape[1])
