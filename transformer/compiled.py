"""A whole layer of an encoder or decoder as one call of compiled code, forward and backward.

Under autocast it computes what :mod:`transformer.fused` does, with the same numbers in bfloat16 and in float32, else
all in float32; over words alone: no padding, and no scores of pairs of words in memory. Gradients of dropout and GELU
are kept from the way forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from transformer import kernels, native
from transformer.packing import Packing
from transformer.precision import low_dtype
from transformer.quantised import Form, layer_in_int8


def compiled(
    x: Tensor, weights: Sequence[Tensor], *, n_heads: int, eps: float, dropout: float, post: bool, packing: Packing
) -> Tensor:
    """Go through a layer that looks at its own text only and bends by GELU.

    Args:
        x: *Shape:* ``(n_rows, d_model)``.
        weights: weight and bias, float32, of the norms of attention and feed-forward, of queries, keys, values and
            attention's output, of the feed-forward's two maps.
        n_heads: of attention.
        eps: of the norms.
        dropout: share of the activations that is dropped, behind both branches and inside the feed-forward.
        post: norms stand behind the sums instead of before the branches.
        packing: of ``x``, made for compiled layers.

    Returns:
        *Shape:* that of ``x``; float32.
    """
    x, low = x.float().contiguous(), low_dtype(x.device)
    if low == torch.int8 and not torch.is_grad_enabled() and not packing.causal:
        return layer_in_int8(x, packing, Form(n_heads, eps, post), weights)
    low = torch.float32 if low == torch.int8 else low
    given = (packing, low, n_heads, eps, dropout, post)
    if torch.is_grad_enabled():
        out: Tensor = Layer.apply(x, *given, *weights)  # type: ignore[no-untyped-call]
        return out
    return forward(x, *given, weights, saving=False)[1][0]


class Layer(torch.autograd.Function):
    """The layer as a function of its input and its weights."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, packing: Packing, low: torch.dtype, n_heads: int, eps: float, p: float, post: bool,
        *weights: Tensor,
    ) -> Tensor:
        """*Shape:* ``(n_rows, d_model)`` in and out."""
        ctx.call, (out, *kept) = forward(x, packing, low, n_heads, eps, p, post, weights, saving=True)
        ctx.low = low
        ctx.save_for_backward(x, *weights, *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the input and of every weight."""
        x, *weights = ctx.saved_tensors[:17]
        call, grad = ctx.call, gradients[0].contiguous()
        sizes = [weight.numel() for weight in weights]
        grads = torch.empty(torch.get_num_threads(), sum(sizes))
        of_x, of_mixed = torch.empty_like(x), torch.empty_like(x, dtype=ctx.low)
        of_asked = x.new_empty(len(x), 3 * x.shape[1], dtype=ctx.low)
        call.n_threads = len(grads)
        native.run("layer_backward", call, ctx.low, grad=grad, of_x=of_x, of_mixed=of_mixed, of_asked=of_asked,
                   grads=grads)
        return (of_x, *[None] * 6,
                *(part.view(weight.shape) for part, weight in zip(torch.split(grads[0], sizes), weights, strict=True)))


def forward(
    x: Tensor, packing: Packing, low: torch.dtype, n_heads: int, eps: float, p: float, post: bool,
    weights: Sequence[Tensor], *, saving: bool,
) -> tuple[native.Layer, list[Tensor]]:
    """Call the code: what it was called with, and the layer's output with all that the way back reads."""
    n, d, f = len(x), x.shape[1], len(weights[13])
    starts = packing.starts
    call = native.Layer(n_rows=n, n_texts=len(starts) - 1, d=d, f=f, n_heads=n_heads, causal=packing.causal,
                        post=post, eps=eps)
    for part, weight, bias in zip(call.parts, weights[::2], weights[1::2], strict=True):
        part.weight, part.bias = weight.data_ptr(), bias.data_ptr()

    def kept(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=low)

    out, middle = torch.empty(n, d), torch.empty(n, d)
    tensors = {
        "out": out, "middle": middle, "moments": torch.empty(2, n, 2), "starts": starts,
        "looking": kept(n, d), "asked": kept(n, 3 * d), "mixed": kept(n, d), "thinking": kept(n, d), "bent": kept(n, f),
        "panels": kept(4 * d * d + 2 * d * f),
    }
    if saving:
        tensors |= {"slope": kept(n, f), "log_sums": torch.empty(n_heads, n)}
    if p:
        tensors["bits"] = torch.empty(-(-n * (2 * d + f) // 64), dtype=torch.int64)
        call.dropped = kernels.n_dropped(p)
        call.seed = int(torch.randint(2**63 - 1, ()))
    if post:
        tensors |= {"path": torch.empty(n, d), "sum": torch.empty(n, d)}
        if low == torch.float32:  # what goes into the products is what is summed
            tensors |= {"looking": x, "thinking": tensors["path"]}
    native.run("layer", call, low, x=x, **{"path": middle, "sum": out, **tensors})
    return call, list(tensors.values())


class PooledViews(torch.autograd.Function):
    """Mean and maximum of each text's rows, and mean of its word vectors: :func:`transformer.heads.views`."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, embedded: Tensor, starts: Tensor) -> Tensor:
        """*Shape:* ``(n_rows, d_model)`` twice and ``(batch + 1,)`` int64 to ``(batch, 3 d_model)``."""
        batch, width = len(starts) - 1, hidden.shape[1]
        ctx.call = native.Views(n_texts=batch, width=width)
        pooled, highest = torch.empty(batch, 3 * width), torch.empty(batch, width, dtype=torch.int32)
        native.run("views", ctx.call, starts=starts, hidden=hidden, embedded=embedded, pooled=pooled, highest=highest)
        ctx.save_for_backward(starts, highest)
        ctx.shape = hidden.shape
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of both kinds of rows."""
        starts, highest = ctx.saved_tensors
        grad, of_hidden, of_embedded = gradients[0].contiguous(), torch.empty(ctx.shape), torch.empty(ctx.shape)
        native.run("views_backward", ctx.call, starts=starts, highest=highest, grad=grad, of_hidden=of_hidden,
                   of_embedded=of_embedded)
        return of_hidden, of_embedded, None
