"""The output of a stack of layers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from transformer.layers.attention import Memory

Needs = Literal["tokens", "features", "cls"]
"""What a head needs of a text: every token, the pooled features of all tokens, or the first token alone."""


class Encoded:
    """Output of an encoder or decoder. An engine may return a subclass that computes parts of it on demand.

    Args:
        hidden: output of the last layer, normalised. *Shape:* ``(batch, length, d_model)``.
        embedded: token embeddings, without positions; projected if they are factorised. *Shape:* as ``hidden``.
        padding_mask: True for real tokens. *Shape:* ``(batch, length)``, bool.
        token_types: token type of each token, if the model has token types. *Shape:* ``(batch, length)``, int64.
    """

    def __init__(
        self, hidden: Tensor, embedded: Tensor, padding_mask: Tensor, token_types: Tensor | None = None
    ) -> None:
        self._hidden, self._embedded = hidden, embedded
        self.padding_mask, self.token_types = padding_mask, token_types

    @property
    def hidden(self) -> Tensor:
        """Output of the last layer. *Shape:* ``(batch, length, d_model)``."""
        return self._hidden

    @property
    def embedded(self) -> Tensor:
        """Token embeddings. *Shape:* ``(batch, length, d_model)``."""
        return self._embedded

    @property
    def cls(self) -> Tensor:
        """Output of the last layer for the first token of each text. *Shape:* ``(batch, d_model)``."""
        first = self.padding_mask.int().argmax(dim=1)                                       # (B,)
        return self.hidden[torch.arange(len(first), device=first.device), first]

    @property
    def features(self) -> Tensor:
        """The :func:`pooled_features` of all tokens. *Shape:* ``(batch, 3 d_model)``."""
        return pooled_features(self.hidden, self.embedded, self.padding_mask)

    @property
    def memory(self) -> Memory:
        """What the cross-attention of a decoder attends to."""
        return Memory(self.hidden, self.padding_mask[:, None, None, :])


def pooled_features(hidden: Tensor, embedded: Tensor, mask: Tensor) -> Tensor:
    """Pool tokens: mean and maximum of the layers' output, and mean of the embeddings; zeros if there is no token.

    Args:
        hidden: *Shape:* ``(batch, length, d_model)``.
        embedded: *Shape:* as ``hidden``.
        mask: True for the tokens to pool. *Shape:* ``(batch, length)``, bool.

    Returns:
        *Shape:* ``(batch, 3 d_model)``.
    """
    if bool(mask.all()):
        return torch.cat([hidden.mean(dim=1), hidden.amax(dim=1), embedded.mean(dim=1)], dim=-1)
    peak = hidden.masked_fill(~mask[..., None], float("-inf")).amax(dim=1)                  # (B, d_model)
    peak = peak.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)                            # (B, d_model)
    return torch.cat([masked_mean(hidden, mask), peak, masked_mean(embedded, mask)], dim=-1)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the positions where ``mask`` is True; zeros where there is none.

    Args:
        x: *Shape:* ``(batch, length, width)``.
        mask: *Shape:* ``(batch, length)``, bool.

    Returns:
        *Shape:* ``(batch, width)``.
    """
    weights = mask[..., None].to(x)                                                         # (B, L, 1)
    return (x * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)                       # (B, width)
