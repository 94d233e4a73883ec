"""A whole layer of an encoder or decoder as one call of compiled code, forward and backward.

Under autocast it computes what :mod:`transformer.kernels.fused_layer` does, with the same numbers in bfloat16 and in
float32, else all in float32; over words alone: no padding, and no scores of pairs of words in memory. Gradients of
dropout and GELU are kept from the way forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from transformer.kernels import native
from transformer.kernels.fused_layer import INNER
from transformer.kernels.int8_encoder import Form, layer_in_int8
from transformer.kernels.packing import Packing
from transformer.layers.dropout import n_dropped


class Given(NamedTuple):
    """How layers are gone through.

    Attributes:
        form: what the layers have in common.
        dropout: share of the activations that is dropped, behind both branches and inside the feed-forward.
        low: what activations are kept in: float32, bfloat16, or int8 for predictions.
    """

    form: Form
    dropout: float
    low: torch.dtype


def compiled(x: Tensor, weights: Sequence[Tensor], given: Given, packing: Packing) -> Tensor:
    """Go through a layer that looks at its own text only and bends by GELU.

    Args:
        x: *Shape:* ``(n_rows, d_model)``.
        weights: weight and bias, float32, of the norms of attention and feed-forward, of queries, keys, values and
            attention's output, of the feed-forward's two maps.
        given: how.
        packing: of ``x``, made for compiled layers.

    Returns:
        *Shape:* that of ``x``; float32.
    """
    x = x.float().contiguous()
    if given.low == torch.int8 and not torch.is_grad_enabled() and not packing.causal:
        return layer_in_int8(x, packing, given.form, weights)
    given = _without_int8(given)
    if torch.is_grad_enabled():
        out: Tensor = Layer.apply(x, packing, given, False, *weights)  # type: ignore[no-untyped-call]
        return out
    return forward(x, packing, given, weights, saving=False)[1][0]


def compiled_first_word(x: Tensor, weights: Sequence[Tensor], given: Given, packing: Packing) -> Tensor:
    """As :func:`compiled`, for the first word of each text, which sees all of them. *Shape:* ``(batch, d_model)``."""
    x, given = x.float().contiguous(), _without_int8(given)
    if torch.is_grad_enabled():
        out: Tensor = Layer.apply(x, packing, given, True, *weights)  # type: ignore[no-untyped-call]
        return out
    return forward_first(x, packing, given, weights, saving=False)[1][0]


def _without_int8(given: Given) -> Given:
    return given._replace(low=torch.float32) if given.low == torch.int8 else given


class Layer(torch.autograd.Function):
    """The layer as a function of its input and its weights; ``alone``: for the first word of each text."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, packing: Packing, given: Given, alone: bool, *weights: Tensor) -> Tensor:
        """*Shape:* ``(n_rows, d_model)`` to the same, or to ``(batch, d_model)``."""
        ctx.call, (out, *kept) = (forward_first if alone else forward)(x, packing, given, weights, saving=True)
        ctx.low, ctx.alone = given.low, alone
        ctx.save_for_backward(x, *weights, *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the input and of every weight."""
        x, *weights = ctx.saved_tensors[:17]
        layer, dout, dx = ctx.call.layer if ctx.alone else ctx.call, gradients[0].contiguous(), torch.empty_like(x)
        sizes = [weight.numel() for weight in weights]
        d_weights = torch.empty(torch.get_num_threads(), sum(sizes))                        # one partial sum per thread
        layer_dx = torch.empty_like(dout) if ctx.alone else dx                              # that of first tokens only
        d_attn_out = torch.empty_like(dout, dtype=ctx.low)
        layer.n_threads = len(d_weights)
        native.set_pointers(layer, dout=dout, dx=layer_dx, d_attn_out=d_attn_out, d_weights=d_weights)
        if ctx.alone:
            native.run("first_token_backward", ctx.call, ctx.low, dx=dx)
        else:
            d_qkv = x.new_empty(len(x), 3 * x.shape[1], dtype=ctx.low)
            native.run("layer_backward", ctx.call, ctx.low, d_qkv=d_qkv)
        grads = torch.split(d_weights[0], sizes)
        return dx, None, None, None, *(grad.view(weight.shape) for grad, weight in zip(grads, weights, strict=True))


def forward(
    x: Tensor, packing: Packing, given: Given, weights: Sequence[Tensor], *, saving: bool
) -> tuple[native.Layer, list[Tensor]]:
    """Call the code: what it was called with, and the layer's output with all that the way back reads."""
    n, d = x.shape
    call, tensors = _prepared(x, packing, given, weights, saving=saving)
    more = {"ln1_out": x if given.form.post and given.low == x.dtype else x.new_empty(n, d, dtype=given.low),
            "qkv": x.new_empty(n, 3 * d, dtype=given.low)}
    if saving:
        more["lse"] = torch.empty(given.form.n_heads, n)
    native.run("layer", call, given.low, **more)
    return call, [*tensors, *more.values()]


def forward_first(
    x: Tensor, packing: Packing, given: Given, weights: Sequence[Tensor], *, saving: bool
) -> tuple[native.FirstToken, list[Tensor]]:
    """As :func:`forward`, for first words."""
    (n, d), batch = x.shape, packing.batch
    first_rows, heads = torch.empty(batch, d), given.form.n_heads
    layer, tensors = _prepared(first_rows, packing, given, weights, saving=saving)
    call = native.FirstToken(layer=layer, n_rows=n)
    more = {"first_rows": first_rows, "ln1_out": x if given.form.post else torch.empty(n, d),
            "norm_stats": torch.empty(n, 2), "q": torch.empty(batch, d), "q_wk": torch.empty(batch, heads, d),
            "pattern": torch.empty(heads, n), "context": torch.empty(batch, heads, d)}
    native.run("first_token", call, given.low, x=x, **more)
    return call, [*tensors, *more.values()]


def _prepared(
    x: Tensor, packing: Packing, given: Given, weights: Sequence[Tensor], *, saving: bool
) -> tuple[native.Layer, list[Tensor]]:
    """A call, all but what the attention needs, for these rows; and the tensors that it points to, the output first."""
    (n, d), f, low, starts = x.shape, len(weights[INNER]), given.low, packing.starts
    call = native.Layer(n_rows=n, n_seqs=len(starts) - 1, d_model=d, d_ff=f, causal=packing.causal,
                        **given.form._asdict())
    call.weights.point_to(weights)

    def activation(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=low)

    out, resid_mid = torch.empty(n, d), torch.empty(n, d)
    tensors = {"out": out, "resid_mid": resid_mid, "norm_stats": torch.empty(2, n, 2), "cu_seqlens": starts,
               "attn_out": activation(n, d), "activated": activation(n, f),
               "packed_weights": activation(4 * d * d + 2 * d * f)}
    if given.form.post:
        tensors |= {"ffn_resid": torch.empty(n, d), "resid_out": torch.empty(n, d)}
    # In float32 post-norm layers the residual stream is the input of the feed-forward block; no copy is needed.
    tensors["ln2_out"] = tensors["ffn_resid"] if given.form.post and low == torch.float32 else activation(n, d)
    if saving:
        tensors["activation_grad"] = activation(n, f)
    if given.dropout:
        tensors["dropout_mask"] = torch.empty(-(-n * (2 * d + f) // 64), dtype=torch.int64)
        call.dropout_threshold = n_dropped(given.dropout)
        call.seed = int(torch.randint(2**63 - 1, ()))
    native.set_pointers(call, **{"x": x, "ffn_resid": resid_mid, "resid_out": out, **tensors})
    return call, list(tensors.values())


class PooledViews(torch.autograd.Function):
    """Mean and maximum of each text's rows, and mean of its word vectors: :func:`transformer.models.heads.views`."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, embedded: Tensor, starts: Tensor) -> Tensor:
        """*Shape:* ``(n_rows, d_model)`` twice and ``(batch + 1,)`` int64 to ``(batch, 3 d_model)``."""
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
        """The gradients of both kinds of rows."""
        starts, argmax = ctx.saved_tensors
        d_pooled, d_hidden, d_embedded = gradients[0].contiguous(), torch.empty(ctx.shape), torch.empty(ctx.shape)
        native.run("pooling_backward", ctx.call, cu_seqlens=starts, argmax=argmax, d_pooled=d_pooled,
                   d_hidden=d_hidden, d_embedded=d_embedded)
        return d_hidden, d_embedded, None
