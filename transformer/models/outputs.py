"""What a stack gives to a head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from transformer.kernels.packing import Packing
from transformer.layers.attention import Memory

Needs = Literal["tokens", "features", "cls"]
"""What a head needs of a text: all tokens, their pooled features, or the first token."""


@dataclass(frozen=True)
class Encoded:
    """What a stack of layers says of each word, or of each text's first word alone, as if it had no others.

    Attributes:
        rows: the last layer's output, normalised. *Shape:* ``(batch, length, d_model)``, or ``(n_rows, d_model)`` with
            a packing.
        embedded_rows: the word vectors that it started from. *Shape:* as ``rows``.
        padding_mask: True where there is a word. *Shape:* ``(batch, length)``, bool.
        token_types: token type of each token, if any. *Shape:* ``(batch, length)``, int64.
        packing: of the rows, if their padding is left out.
        pooled: :func:`transformer.models.heads.pooled_features` of all words, if they came along. *Shape:* ``(batch, 3
            d_model)``.
    """

    rows: Tensor
    embedded_rows: Tensor
    padding_mask: Tensor
    token_types: Tensor | None = None
    packing: Packing | None = None
    pooled: Tensor | None = None

    @classmethod
    def of_first_words(cls, hidden: Tensor, embedded: Tensor) -> Encoded:
        """What is said of first words alone. *Shape:* ``(batch, d_model)`` each."""
        there = torch.ones(len(hidden), 1, dtype=torch.bool, device=hidden.device)
        return cls(hidden[:, None], embedded[:, None], there)

    @cached_property
    def first_word(self) -> Tensor:
        """The last layer's output for each text's first word. *Shape:* ``(batch, d_model)``."""
        if bool(self.padding_mask[:, 0].all()):
            return self.hidden[:, 0]
        places = self.padding_mask.int().argmax(dim=1)                                         # (B,)
        return self.hidden[torch.arange(len(places), device=places.device), places]

    @cached_property
    def hidden(self) -> Tensor:
        """The last layer's output. *Shape:* ``(batch, length, d_model)``."""
        return self.rows if self.packing is None else self.packing.unpack(self.rows)

    @cached_property
    def embedded(self) -> Tensor:
        """The word vectors. *Shape:* ``(batch, length, d_model)``."""
        return self.embedded_rows if self.packing is None else self.packing.unpack(self.embedded_rows)

    @property
    def memory(self) -> Memory:
        """What a decoder looks at."""
        return Memory(self.hidden, self.padding_mask[:, None, None, :])
