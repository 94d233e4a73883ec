"""A whole layer of an encoder or decoder as one operation, forward and backward, in bfloat16 on a CPU.

It computes what :class:`transformer.layers.transformer_layer.TransformerLayer` says, from its weights, with the
residual stream and the norms in float32 and the rest in bfloat16, as autocast would. What it saves is everything
around the matrix products: a small batch spends more time on casts, copies and the bookkeeping of a hundred small
operations than on arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from transformer.kernels.engine import additive
from transformer.kernels.packing import Packing
from transformer.layers.dropout import dropout_factors

LOW = torch.bfloat16
INNER = 12  # the place of the feed-forward's first weight


def fused(
    x: Tensor, weights: Sequence[Tensor], *, n_heads: int, eps: float, dropout: float, mask: Tensor | None,
    packing: Packing | None,
) -> Tensor:
    """Go through a layer that looks at its own text only, has its norms before the branches, and bends by GELU.

    Args:
        x: *Shape:* ``(batch, length, d_model)``, or ``(n_rows, d_model)`` with a packing; float32.
        weights: as :func:`transformer.kernels.native_layer.compiled`.
        n_heads: likewise.
        eps: likewise.
        dropout: likewise.
        mask: as :meth:`transformer.layers.transformer_layer.TransformerLayer.forward`.
        packing: of ``x``, if its padding is left out.

    Returns:
        *Shape:* that of ``x``; float32.
    """
    rows = x.reshape(-1, x.shape[-1])                                                       # (N, d_model)
    factors = [dropout_factors(len(rows) * width, dropout, LOW).view(-1, width) if dropout else None
               for width in (x.shape[-1], len(weights[INNER]), x.shape[-1])]
    mask = None if mask is None else additive(mask, LOW)
    shape = (packing.batch, packing.length) if packing else x.shape[:2]
    out: Tensor = Layer.apply(  # type: ignore[no-untyped-call]
        rows, mask, packing, shape, n_heads, eps, factors, *weights)
    return out.view(x.shape)


class Layer(torch.autograd.Function):
    """The layer as a function of its input and its weights. N is the number of rows, words or places."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mask: Tensor | None, packing: Packing | None, shape: tuple[int, int], n_heads: int,
        eps: float, factors: list[Tensor | None], norm1: Tensor, bias1: Tensor, norm2: Tensor, bias2: Tensor,
        *linears: Tensor,
    ) -> Tensor:
        """*Shape:* ``(N, d_model)`` in and out."""
        width = (x.shape[1],)
        scale = (x.shape[1] // n_heads) ** -0.5
        ask = (torch.cat([scale * linears[0], *linears[2:6:2]]).to(LOW),                    # (3 d_model, d_model)
               torch.cat([scale * linears[1], *linears[3:6:2]]).to(LOW))                    # (3 d_model,)
        out, inner, outer = ((linears[i].to(LOW), linears[i + 1].to(LOW)) for i in (6, 8, 10))

        normed, *moments = torch.native_layer_norm(x, width, norm1, bias1, eps)             # (N, d_model)
        looking = normed.to(LOW)
        asked = F.linear(looking, *ask)                                                     # (N, 3 d_model)
        parts = _by_head(packing.unpack(asked) if packing else asked, shape, 3, n_heads)    # (3, B H, L, d_head)
        q, k, v = parts                                                                     # the queries scaled already
        scores = torch.bmm(q, k.mT)                                                         # (B H, L, L)
        if mask is not None:
            scores.view(-1, n_heads, *scores.shape[1:]).add_(mask)
        pattern = scores.softmax(dim=-1)
        mixed = _by_row(torch.bmm(pattern, v)[None], n_heads)                               # (B L, d_model)
        mixed = packing.pack(mixed.view(*shape, -1)) if packing else mixed                  # (N, d_model)
        middle = x + _times(F.linear(mixed, *out), factors[0])                              # (N, d_model), float32

        normed, *more = torch.native_layer_norm(middle, width, norm2, bias2, eps)
        thinking = normed.to(LOW)
        straight = F.linear(thinking, *inner)                                               # (N, d_ff)
        bent = _times(F.gelu(straight), factors[1])                                         # (N, d_ff)
        ctx.save_for_backward(x, middle, *moments, *more, norm1, bias1, norm2, bias2, ask[0], out[0], inner[0],
                              outer[0], looking, parts, pattern, mixed, thinking, straight, bent, *factors)
        ctx.packing, ctx.shape, ctx.n_heads, ctx.scale = packing, shape, n_heads, scale
        return middle + _times(F.linear(bent, *outer), factors[2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the input and of every weight."""
        (x, middle, mean1, rstd1, mean2, rstd2, norm1, bias1, norm2, bias2, ask, out, inner, outer, looking, parts,
         pattern, mixed, thinking, straight, bent, *factors) = ctx.saved_tensors
        packing, width = ctx.packing, [x.shape[1]]
        every = [True, True, True]
        grad = gradients[0]                                                                 # (N, d_model), float32

        of_outer = _times(grad.to(LOW), factors[2])
        of_bent = _times(of_outer @ outer, factors[1])
        of_straight = torch.ops.aten.gelu_backward(of_bent, straight)                       # (N, d_ff)
        of_thinking = (of_straight @ inner).float()
        of_middle, *of_norm2 = torch.ops.aten.native_layer_norm_backward(
            of_thinking, middle, width, mean2, rstd2, norm2, bias2, every)
        of_middle += grad

        of_out = _times(of_middle.to(LOW), factors[0])
        of_mixed = of_out @ out                                                             # (N, d_model)
        of_mixed = _by_head(packing.unpack(of_mixed) if packing else of_mixed, ctx.shape, 1, ctx.n_heads)[0]
        q, k, v = parts
        of_parts = torch.empty_like(parts)
        of_scores = torch._softmax_backward_data(torch.bmm(of_mixed, v.mT), pattern, -1, LOW)
        torch.bmm(of_scores, k, out=of_parts[0])
        torch.bmm(of_scores.mT, q, out=of_parts[1])
        torch.bmm(pattern.mT, of_mixed, out=of_parts[2])
        of_asked = _by_row(of_parts, ctx.n_heads)                                           # (B L, 3 d_model)
        of_asked = packing.pack(of_asked.view(*ctx.shape, -1)) if packing else of_asked     # (N, 3 d_model)
        of_looking = (of_asked @ ask).float()
        of_x, *of_norm1 = torch.ops.aten.native_layer_norm_backward(
            of_looking, x, width, mean1, rstd1, norm1, bias1, every)
        of_x += of_middle

        of_ask = list(zip((of_asked.mT @ looking).float().chunk(3), of_asked.sum(0).float().chunk(3), strict=True))
        for part in of_ask[0]:
            part.mul_(ctx.scale)
        of_linears = [*of_ask, *(((grad.mT @ x).float(), grad.sum(0).float()) for grad, x in (
            (of_out, mixed), (of_straight, thinking), (of_outer, bent)))]
        return (of_x, *[None] * 6, *of_norm1, *of_norm2, *(part for pair in of_linears for part in pair))


def _times(x: Tensor, factors: Tensor | None) -> Tensor:
    """Drop activations, in place."""
    return x if factors is None else x.mul_(factors)


def _by_head(rows: Tensor, shape: tuple[int, int], n: int, n_heads: int) -> Tensor:
    """Rows of ``n`` vectors each, ``(batch length, n d_model)``, to ``(n, batch heads, length, d_head)``."""
    batch, length = shape
    d_head = rows.shape[-1] // (n * n_heads)
    return rows.view(batch, length, n, n_heads, d_head).permute(2, 0, 3, 1, 4).reshape(n, -1, length, d_head)


def _by_row(parts: Tensor, n_heads: int) -> Tensor:
    """The way back from :func:`_by_head`."""
    n, _, length, d_head = parts.shape
    return parts.view(n, -1, n_heads, length, d_head).permute(1, 3, 0, 2, 4).reshape(-1, n * n_heads * d_head)
