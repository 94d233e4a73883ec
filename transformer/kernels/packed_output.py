"""Output of an engine that computes real tokens only: unpacked on demand, pooled without unpacking."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from transformer.kernels import native
from transformer.kernels.packing import Packing
from transformer.models.outputs import Encoded


class PackedEncoded(Encoded):
    """Output of an encoder or decoder as one row for each real token.

    Args:
        rows: output of the last layer, normalised. *Shape:* ``(n_rows, d_model)``.
        embedded_rows: token embeddings. *Shape:* as ``rows``.
        packing: the batch of the rows.
        token_types: token type of each token, if any. *Shape:* ``(batch, length)``, int64.
        features: pooled features, if they were computed already. *Shape:* ``(batch, 3 d_model)``.
    """

    def __init__(
        self, rows: Tensor, embedded_rows: Tensor, packing: Packing, token_types: Tensor | None = None,
        features: Tensor | None = None,
    ) -> None:
        self.rows, self.embedded_rows, self.packing = rows, embedded_rows, packing
        self.padding_mask, self.token_types = packing.padding_mask, token_types
        self._features = features

    @cached_property
    def hidden(self) -> Tensor:
        """Output of the last layer; zeros at padding. *Shape:* ``(batch, length, d_model)``."""
        return self.packing.unpack(self.rows)

    @cached_property
    def embedded(self) -> Tensor:
        """Token embeddings; zeros at padding. *Shape:* ``(batch, length, d_model)``."""
        return self.packing.unpack(self.embedded_rows)

    @property
    def features(self) -> Tensor:
        """The pooled features of all tokens. *Shape:* ``(batch, 3 d_model)``."""
        if self._features is None:
            self._features = PooledFeatures.apply(  # type: ignore[no-untyped-call]
                self.rows, self.embedded_rows, self.packing.starts)
        return self._features


class PooledEncoded(Encoded):
    """Output of an encoder of which only the pooled features were computed.

    Args:
        features: *Shape:* ``(batch, 3 d_model)``.
        packing: the batch.
    """

    def __init__(self, features: Tensor, packing: Packing) -> None:
        self.padding_mask, self.token_types = packing.padding_mask, None
        self._features = features

    @property
    def features(self) -> Tensor:
        """The pooled features of all tokens. *Shape:* ``(batch, 3 d_model)``."""
        return self._features


def encoded_cls(hidden: Tensor, embedded: Tensor) -> Encoded:
    """Make the output of which only each text's first token was computed. *Shape:* ``(batch, d_model)`` each."""
    mask = torch.ones(len(hidden), 1, dtype=torch.bool, device=hidden.device)
    return Encoded(hidden[:, None], embedded[:, None], mask)


class PooledFeatures(torch.autograd.Function):
    """:func:`transformer.models.outputs.pooled_features` of packed rows, in compiled code."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, embedded: Tensor, starts: Tensor) -> Tensor:
        """Pool ``(n_rows, d_model)`` twice, with ``(batch + 1,)`` int64 starts, to ``(batch, 3 d_model)``."""
        batch, width = len(starts) - 1, hidden.shape[1]
        ctx.call = native.Pooling(n_seqs=batch, width=width)
        pooled, argmax = torch.empty(batch, 3 * width), torch.empty(batch, width, dtype=torch.int32)
        native.run("pooling", ctx.call, cu_seqlens=starts, hidden=hidden, embedded=embedded, pooled=pooled,
                   argmax=argmax)
        ctx.save_for_backward(starts, argmax)
        ctx.shape = hidden.shape
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of both inputs."""
        starts, argmax = ctx.saved_tensors
        d_pooled, d_hidden, d_embedded = gradients[0].contiguous(), torch.empty(ctx.shape), torch.empty(ctx.shape)
        native.run("pooling_backward", ctx.call, cu_seqlens=starts, argmax=argmax, d_pooled=d_pooled,
                   d_hidden=d_hidden, d_embedded=d_embedded)
        return d_hidden, d_embedded, None
