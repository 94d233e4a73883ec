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
from transformer.kernels.int8_encoder import int8_layer
from transformer.kernels.layer_spec import FEEDFORWARD_INNER, LayerSpec
from transformer.kernels.packing import Packing
from transformer.layers.dropout import n_dropped


class LayerCall(NamedTuple):
    """How layers are gone through.

    Attributes:
        form: what the layers have in common.
        dropout: share of the activations that is dropped, behind both branches and inside the feed-forward.
        low: what activations are kept in: float32, bfloat16, or int8 for predictions.
    """

    spec: LayerSpec
    dropout: float
    low: torch.dtype


def compiled(x: Tensor, weights: Sequence[Tensor], given: LayerCall, packing: Packing) -> Tensor:
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
        return int8_layer(x, packing, given.spec, weights)
    given = _without_int8(given)
    if torch.is_grad_enabled():
        out: Tensor = Layer.apply(x, packing, given, False, *weights)  # type: ignore[no-untyped-call]
        return out
    return forward(x, packing, given, weights, saving=False)[1][0]


def compiled_cls(x: Tensor, weights: Sequence[Tensor], given: LayerCall, packing: Packing) -> Tensor:
    """As :func:`compiled`, for the first word of each text, which sees all of them. *Shape:* ``(batch, d_model)``."""
    x, given = x.float().contiguous(), _without_int8(given)
    if torch.is_grad_enabled():
        out: Tensor = Layer.apply(x, packing, given, True, *weights)  # type: ignore[no-untyped-call]
        return out
    return forward_cls(x, packing, given, weights, saving=False)[1][0]


def _without_int8(given: LayerCall) -> LayerCall:
    return given._replace(low=torch.float32) if given.low == torch.int8 else given


class Layer(torch.autograd.Function):
    """The layer as a function of its input and its weights; ``alone``: for the first word of each text."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, packing: Packing, given: LayerCall, alone: bool, *weights: Tensor) -> Tensor:
        """*Shape:* ``(n_rows, d_model)`` to the same, or to ``(batch, d_model)``."""
        ctx.call, (out, *dropout_mask) = (forward_cls if alone else forward)(x, packing, given, weights, saving=True)
        ctx.low, ctx.alone = given.low, alone
        ctx.save_for_backward(x, *weights, *dropout_mask)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the input and of every weight."""
        x, *weights = ctx.saved_tensors[:17]
        layer, grad, of_x = ctx.call.layer if ctx.alone else ctx.call, gradients[0].contiguous(), torch.empty_like(x)
        sizes = [weight.numel() for weight in weights]
        grads = torch.empty(torch.get_num_threads(), sum(sizes))
        of_rows = torch.empty_like(grad) if ctx.alone else of_x                             # of what `layer` took
        of_mixed = torch.empty_like(grad, dtype=ctx.low)
        layer.n_threads = len(grads)
        native.point(layer, grad=grad, of_x=of_rows, of_mixed=of_mixed, grads=grads)
        if ctx.alone:
            native.run("first_word_backward", ctx.call, ctx.low, of_x=of_x)
        else:
            of_asked = x.new_empty(len(x), 3 * x.shape[1], dtype=ctx.low)
            native.run("layer_backward", ctx.call, ctx.low, of_asked=of_asked)
        parts = (part.view(weight.shape) for part, weight in zip(torch.split(grads[0], sizes), weights, strict=True))
        return of_x, None, None, None, *parts


def forward(
    x: Tensor, packing: Packing, given: LayerCall, weights: Sequence[Tensor], *, saving: bool
) -> tuple[native.Layer, list[Tensor]]:
    """Call the code: what it was called with, and the layer's output with all that the way back reads."""
    n, d = x.shape
    call, tensors = _prepared(x, packing, given, weights, saving=saving)
    more = {"looking": x if given.spec.post and given.low == x.dtype else x.new_empty(n, d, dtype=given.low),
            "asked": x.new_empty(n, 3 * d, dtype=given.low)}
    if saving:
        more["log_sums"] = torch.empty(given.spec.n_heads, n)
    native.run("layer", call, given.low, **more)
    return call, [*tensors, *more.values()]


def forward_cls(
    x: Tensor, packing: Packing, given: LayerCall, weights: Sequence[Tensor], *, saving: bool
) -> tuple[native.FirstWord, list[Tensor]]:
    """As :func:`forward`, for first words."""
    (n, d), batch = x.shape, packing.batch
    begin, heads = torch.empty(batch, d), given.spec.n_heads
    layer, tensors = _prepared(begin, packing, given, weights, saving=saving)
    call = native.FirstWord(layer=layer, n_rows=n)
    more = {"begin": begin, "looked": x if given.spec.post else torch.empty(n, d), "moments": torch.empty(n, 2),
            "query": torch.empty(batch, d), "asked": torch.empty(batch, heads, d),
            "pattern": torch.empty(heads, n), "seen": torch.empty(batch, heads, d)}
    native.run("first_word", call, given.low, x=x, **more)
    return call, [*tensors, *more.values()]


def _prepared(
    x: Tensor, packing: Packing, given: LayerCall, weights: Sequence[Tensor], *, saving: bool
) -> tuple[native.Layer, list[Tensor]]:
    """A call, all but what the attention needs, for these rows; and the tensors that it points to, the output first."""
    (n, d), f, low, starts = x.shape, len(weights[FEEDFORWARD_INNER]), given.low, packing.starts
    call = native.Layer(n_rows=n, n_texts=len(starts) - 1, d=d, f=f, causal=packing.causal, **given.spec._asdict())
    for part, weight, bias in zip(call.parts, weights[::2], weights[1::2], strict=True):
        part.weight, part.bias = weight.data_ptr(), bias.data_ptr()

    def kept(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=low)

    out, middle = torch.empty(n, d), torch.empty(n, d)
    tensors = {"out": out, "middle": middle, "moments": torch.empty(2, n, 2), "starts": starts, "mixed": kept(n, d),
               "bent": kept(n, f), "panels": kept(4 * d * d + 2 * d * f)}
    if given.spec.post:
        tensors |= {"path": torch.empty(n, d), "sum": torch.empty(n, d)}
    # Where both are float32, what is summed goes into the products as it is.
    tensors["thinking"] = tensors["path"] if given.spec.post and low == torch.float32 else kept(n, d)
    if saving:
        tensors["slope"] = kept(n, f)
    if given.dropout:
        tensors["bits"] = torch.empty(-(-n * (2 * d + f) // 64), dtype=torch.int64)
        call.dropped = n_dropped(given.dropout)
        call.seed = int(torch.randint(2**63 - 1, ()))
    native.point(call, **{"x": x, "path": middle, "sum": out, **tensors})
    return call, list(tensors.values())
