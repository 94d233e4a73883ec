"""A whole Transformer layer as one call of compiled code, forward and backward, over packed rows.

Under autocast, matrix products and stored activations are bfloat16, and the residual stream and the norms float32;
otherwise everything is float32. Attention scores are never stored. The gradients of dropout and GELU are stored by the
forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._utils import _unflatten_dense_tensors
from torch.autograd.function import once_differentiable

from transformer.kernels import native
from transformer.kernels.int8_encoder import int8_layer
from transformer.kernels.layer_spec import FEEDFORWARD_INNER, LayerSpec
from transformer.kernels.packing import Packing
from transformer.layers.dropout import n_dropped


class LayerCall(NamedTuple):
    """How a layer is computed.

    Attributes:
        spec: hyperparameters of the layer.
        dropout: dropout probability of both branches and inside the feed-forward block; 0 in evaluation.
        low: dtype of stored activations: float32, bfloat16, or int8 for predictions.
    """

    spec: LayerSpec
    dropout: float
    low: torch.dtype


def compiled(x: Tensor, weights: Sequence[Tensor], call: LayerCall, packing: Packing) -> Tensor:
    """Compute a layer with self-attention and GELU.

    Args:
        x: *Shape:* ``(n_rows, d_model)``.
        weights: as :func:`transformer.kernels.layer_spec.weights_of` returns them, float32.
        call: how to compute it.
        packing: the batch of the rows.

    Returns:
        float32. *Shape:* that of ``x``.
    """
    x = x.float().contiguous()
    if call.low == torch.int8 and not torch.is_grad_enabled() and not packing.causal:
        return int8_layer(x, packing, call.spec, weights)
    call = without_int8(call)
    if torch.is_grad_enabled():
        out: Tensor = NativeLayer.apply(x, packing, call, False, *weights)  # type: ignore[no-untyped-call]
        return out
    return forward(x, packing, call, weights, saving=False)[1][0]


def compiled_cls(x: Tensor, weights: Sequence[Tensor], call: LayerCall, packing: Packing) -> Tensor:
    """Compute a layer for the first token of each text only. With one query for each text, keys and values are not
    needed: ``q . (W_K x_j)`` is ``(q W_K) . x_j``, and the sum of ``p_j W_V x_j`` is ``W_V`` of the sum of ``p_j x_j``.

    Arguments as for :func:`compiled`. *Shape:* ``(n_rows, d_model)`` to ``(batch, d_model)``.
    """  # noqa: D205
    x, call = x.float().contiguous(), without_int8(call)
    if torch.is_grad_enabled():
        out: Tensor = NativeLayer.apply(x, packing, call, True, *weights)  # type: ignore[no-untyped-call]
        return out
    return forward_cls(x, packing, call, weights, saving=False)[1][0]


def without_int8(call: LayerCall) -> LayerCall:
    """Compute in float32 what is to be int8, which is for predictions only."""
    return call._replace(low=torch.float32) if call.low == torch.int8 else call


class NativeLayer(torch.autograd.Function):
    """The layer as a function of its input and its weights; ``cls`` computes first tokens only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, packing: Packing, call: LayerCall, cls: bool, *weights: Tensor) -> Tensor:
        """Map ``(n_rows, d_model)`` to the same shape, or to ``(batch, d_model)``."""
        ctx.call, (out, *saved) = (forward_cls if cls else forward)(x, packing, call, weights, saving=True)
        ctx.low, ctx.cls = call.low, cls
        ctx.save_for_backward(x, *weights, *saved)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of the input and of every weight."""
        x, *weights = ctx.saved_tensors[:17]
        layer, dout, dx = ctx.call.layer if ctx.cls else ctx.call, gradients[0].contiguous(), torch.empty_like(x)
        n_weights = sum(weight.numel() for weight in weights)
        d_weights = torch.empty(torch.get_num_threads(), n_weights)                         # one partial sum per thread
        layer_dx = torch.empty_like(dout) if ctx.cls else dx                                # that of first tokens only
        d_attn_out = torch.empty_like(dout, dtype=ctx.low)
        layer.n_threads = len(d_weights)
        native.set_pointers(layer, dout=dout, dx=layer_dx, d_attn_out=d_attn_out, d_weights=d_weights)
        if ctx.cls:
            native.run("first_token_backward", ctx.call, ctx.low, dx=dx)
        else:
            d_qkv = x.new_empty(len(x), 3 * x.shape[1], dtype=ctx.low)
            native.run("layer_backward", ctx.call, ctx.low, d_qkv=d_qkv)
        return dx, None, None, None, *_unflatten_dense_tensors(d_weights[0], weights)  # type: ignore[no-untyped-call]


def forward(
    x: Tensor, packing: Packing, given: LayerCall, weights: Sequence[Tensor], *, saving: bool
) -> tuple[native.Layer, list[Tensor]]:
    """Run the forward pass.

    Returns:
        The arguments of the compiled function; the output, followed by the tensors that the backward pass reads.
    """
    n, d = x.shape
    call, tensors = _prepared(x, packing, given, weights, saving=saving)
    more = {"ln1_out": x if given.spec.post and given.low == x.dtype else x.new_empty(n, d, dtype=given.low),
            "qkv": x.new_empty(n, 3 * d, dtype=given.low)}
    if saving:
        more["lse"] = torch.empty(given.spec.n_heads, n)
    native.run("layer", call, given.low, **more)
    return call, [*tensors, *more.values()]


def forward_cls(
    x: Tensor, packing: Packing, given: LayerCall, weights: Sequence[Tensor], *, saving: bool
) -> tuple[native.FirstToken, list[Tensor]]:
    """Run the forward pass for first tokens; as :func:`forward`."""
    (n, d), batch = x.shape, packing.batch
    first_rows, heads = torch.empty(batch, d), given.spec.n_heads
    layer, tensors = _prepared(first_rows, packing, given, weights, saving=saving)
    call = native.FirstToken(layer=layer, n_rows=n)
    more = {"first_rows": first_rows, "ln1_out": x if given.spec.post else torch.empty(n, d),
            "norm_stats": torch.empty(n, 2), "q": torch.empty(batch, d), "q_wk": torch.empty(batch, heads, d),
            "pattern": torch.empty(heads, n), "context": torch.empty(batch, heads, d)}
    native.run("first_token", call, given.low, x=x, **more)
    return call, [*tensors, *more.values()]


def _prepared(
    x: Tensor, packing: Packing, given: LayerCall, weights: Sequence[Tensor], *, saving: bool
) -> tuple[native.Layer, list[Tensor]]:
    """Prepare the arguments except those of attention; return them and the tensors they point to, the output first."""
    (n, d), f, low, starts = x.shape, len(weights[FEEDFORWARD_INNER]), given.low, packing.starts
    call = native.Layer(n_rows=n, n_seqs=len(starts) - 1, d_model=d, d_ff=f, causal=packing.causal,
                        **given.spec._asdict())
    call.weights.point_to(weights)

    def activation(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=low)

    out, resid_mid = torch.empty(n, d), torch.empty(n, d)
    tensors = {"out": out, "resid_mid": resid_mid, "norm_stats": torch.empty(2, n, 2), "cu_seqlens": starts,
               "attn_out": activation(n, d), "activated": activation(n, f),
               "packed_weights": activation(4 * d * d + 2 * d * f)}
    if given.spec.post:
        tensors |= {"ffn_resid": torch.empty(n, d), "resid_out": torch.empty(n, d)}
    # In float32 post-norm layers the residual stream is the input of the feed-forward block; no copy is needed.
    tensors["ln2_out"] = tensors["ffn_resid"] if given.spec.post and low == torch.float32 else activation(n, d)
    if saving:
        tensors["activation_grad"] = activation(n, f)
    if given.dropout:
        tensors["dropout_mask"] = torch.empty(-(-n * (2 * d + f) // 64), dtype=torch.int64)
        call.dropout_threshold = n_dropped(given.dropout)
        call.seed = int(torch.randint(2**63 - 1, ()))
    native.set_pointers(call, **{"x": x, "ffn_resid": resid_mid, "resid_out": out, **tensors})
    return call, list(tensors.values())
