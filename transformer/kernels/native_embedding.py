"""The input of the first layer as one call of compiled code, forward and backward, over packed rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from transformer.kernels import native
from transformer.kernels.engine import has_hooks
from transformer.kernels.packing import Packing
from transformer.layers.dropout import n_dropped
from transformer.layers.positions import NoPositions, SinusoidalPositions

if TYPE_CHECKING:
    from transformer.models.stack import Stack


def can_embed(stack: Stack) -> bool:
    """Whether compiled code can compute :meth:`Stack.embed <transformer.models.stack.Stack.embed>`.

    It supports sinusoidal positions or none, and neither token types nor a norm nor a projection.
    """
    modules = (stack.positions, stack.embedding_norm, stack.dropout, stack.embedding_projection)
    return (stack.token_types is None and isinstance(stack.positions, (NoPositions, SinusoidalPositions))
            and isinstance(stack.embedding_norm, nn.Identity) and isinstance(stack.embedding_projection, nn.Identity)
            and not any(map(has_hooks, modules)))


def embed(embedded: Tensor, stack: Stack, packing: Packing) -> Tensor:
    """Add positions, and drop out.

    Args:
        embedded: *Shape:* ``(n_rows, d_model)``, float32; ``d_model`` is a multiple of 16.
        stack: the model (:func:`can_embed`).
        packing: the batch of the rows.

    Returns:
        float32. *Shape:* that of ``embedded``.
    """
    positions = stack.positions.rows(packing.length)                                        # (length, d_model)
    dropout = stack.dropout.p if stack.training else 0.0
    x: Tensor = NativeEmbedding.apply(embedded, positions, packing.starts, dropout)  # type: ignore[no-untyped-call]
    return x


class NativeEmbedding(torch.autograd.Function):
    """Positions and dropout as a function of the embeddings."""

    @staticmethod
    def forward(ctx: Any, embedded: Tensor, positions: Tensor | None, starts: Tensor, dropout: float) -> Tensor:
        """Map ``(n_rows, d_model)``, with ``(batch + 1,)`` int64 starts, to the same shape."""
        n, width = embedded.shape
        call = native.Embedding(n_rows=n, n_seqs=len(starts) - 1, width=width)
        arrays = {"cu_seqlens": starts, "embedded": embedded.contiguous(), "x": torch.empty(n, width)}
        if positions is not None:
            arrays["positions"] = positions
        if dropout:
            arrays["dropout_mask"] = torch.empty(-(-n * width // 64), dtype=torch.int64)
            call.dropout_threshold = n_dropped(dropout)
            call.seed = int(torch.randint(2**63 - 1, ()))
        native.set_pointers(call, **arrays)
        native.run("embedding", call)
        ctx.call = call
        if dropout:
            ctx.save_for_backward(arrays["dropout_mask"])
        return arrays["x"]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradient of the embeddings."""
        dx = gradients[0].contiguous()
        if not ctx.saved_tensors:
            return dx, None, None, None
        d_embedded = torch.empty_like(dx)
        native.run("embedding_backward", ctx.call, dropout_mask=ctx.saved_tensors[0], dx=dx, d_embedded=d_embedded)
        return d_embedded, None, None, None
