"""Engine of compiled layers: real tokens only, whole layers as one call, in float32 or bfloat16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from transformer.kernels import native
from transformer.kernels.engine import Call, engine, has_hooks, once
from transformer.kernels.layer_spec import spec_of, unfit_weight, weights_of
from transformer.kernels.native_convolution import convolved, unfit
from transformer.kernels.native_embedding import can_embed, embed
from transformer.kernels.native_features import can_compute_features, features, features_weights, free_memory
from transformer.kernels.native_layer import LayerCall, compiled, compiled_cls
from transformer.kernels.packed_output import PackedEncoded, PooledEncoded, encoded_cls
from transformer.kernels.packing import Packing
from transformer.kernels.precision import in_float32, low_dtype
from transformer.layers.convolution import Convolutions
from transformer.layers.transformer_layer import TransformerLayer
from transformer.models.outputs import Encoded, Needs
from transformer.models.stack import padding_mask

if TYPE_CHECKING:
    from transformer.models.stack import Stack

CPU = torch.device("cpu")


@engine
class NativeEngine:
    """Embeds real tokens only, and computes each layer, forward and backward, by one call of compiled code.

    The convolutions before the first layer are one call as well. If the head needs the first token alone, the last
    layer computes that token only. If it needs the pooled features, training computes all layers by one call.
    """

    name = "native"
    priority = 20

    def describe(self) -> str:
        """Name the precision and the instructions."""
        low = low_dtype(CPU)
        return f"native {str(low).removeprefix('torch.')} ({native.instructions(low)})"

    def reasons_against(self, stack: Stack, call: Call) -> list[str]:
        """List why compiled layers cannot compute this call."""
        reasons = reasons_against_weights(stack.embedding.weight)
        if call.cache is not None:
            reasons.append("tokens are generated one by one, with cached keys and values")
        if call.memory is not None:
            reasons.append("the decoder has cross-attention")
        if stack.score_positions is not None:
            reasons.append("positions act inside attention (model.positions)")
        return reasons or once(reasons_against_layers, stack)

    def run(self, stack: Stack, ids: Tensor, token_types: Tensor | None, needs: Needs) -> Encoded:
        """Compute the forward pass over rows of real tokens."""
        mask = padding_mask(ids)                                                            # (B, L)
        packing = Packing(mask, causal=stack.causal)
        with in_float32(CPU):  # PyTorch compiles a product in bfloat16 again for each number of rows
            embedded = stack.embedding(packing.pack(ids))                                   # (n_rows, d_embedding)
            if once(can_embed, stack):
                x = embed(embedded, stack, packing)                                         # (n_rows, d_model)
            else:
                row_types = None if token_types is None else packing.pack(token_types)      # (n_rows,)
                x = stack.embed(embedded, packing.positions, row_types)                     # (n_rows, d_model)
            embedded = stack.project(embedded)                                              # (n_rows, d_model)
        if stack.convolutions is not None:
            x = _convolved(x, stack.convolutions, packing)                                  # (n_rows, d_model)
        if needs == "features" and torch.is_grad_enabled() and once(can_compute_features, stack):
            call = call_of(stack.transformer_layers()[0])
            pooled = features(x, embedded, once(features_weights, stack), call, packing, once(free_memory, stack))
            return PooledEncoded(pooled, packing)                                           # (batch, 3 d_model)
        *layers, last = once(layers_of, stack)
        for layer, weights in layers:
            x = compiled(x, weights, call_of(layer), packing)                               # (n_rows, d_model)
        layer, weights = last
        if needs == "cls" and not stack.causal:
            first = compiled_cls(x, weights, call_of(layer), packing)                       # (batch, d_model)
            return encoded_cls(stack.norm(first), embedded[packing.starts[:-1]])
        x = compiled(x, weights, call_of(layer), packing)
        return PackedEncoded(stack.norm(x), embedded, packing, token_types)


def _convolved(x: Tensor, convolutions: Convolutions, packing: Packing) -> Tensor:
    if unfit(convolutions):
        return packing.pack(convolutions(packing.unpack(x), padding_mask=packing.padding_mask))
    low = low_dtype(CPU)
    return convolved(x, convolutions, packing, torch.float32 if low == torch.int8 else low)


def layers_of(stack: Stack) -> list[tuple[TransformerLayer, list[Tensor]]]:
    """Return the layers with their weights (:func:`weights_of`)."""
    return [(layer, weights_of(layer)) for layer in stack.transformer_layers()]


def call_of(layer: TransformerLayer) -> LayerCall:
    """Return how a layer is computed now: its hyperparameters, dropout in training, and the precision."""
    return LayerCall(spec_of(layer), layer.dropout.p if layer.training else 0.0, low_dtype(CPU))


def reasons_against_weights(weight: Tensor) -> list[str]:
    """List why compiled code cannot compute with weights on this device, in this precision, on this processor."""
    if weight.device.type != "cpu":
        return [f"the model is on {weight.device.type}"]
    if weight.dtype != torch.float32:
        return [f"the weights are {str(weight.dtype).removeprefix('torch.')}"]
    low = low_dtype(CPU)
    if not native.available(low):
        return [f"there is no compiled code for {str(low).removeprefix('torch.')} here (it needs a C++ compiler when "
                "vecformer is installed, and AVX2 or, for bfloat16, AVX-512)"]
    return []


def reasons_against_layers(stack: Stack) -> list[str]:
    """Say why compiled code cannot compute the first layer that it cannot compute; [] if it can compute all."""
    return [reason for layer in stack.layers if (reason := reason_against_layer(layer))][:1]


def reason_against_layer(layer: object) -> str:
    """Say why compiled code cannot compute a layer; "" if it can."""
    if not isinstance(layer, TransformerLayer):
        return f"a layer is a {type(layer).__name__}"
    if layer.cross_attention is not None:
        return "the decoder has cross-attention"
    if layer.feedforward.activation is not F.gelu:
        return "the activation is not gelu (model.activation)"
    d_model, d_ff = layer.attention.query.in_features, layer.feedforward.inner.out_features
    d_head = d_model // layer.attention.n_heads
    if any(width % native.LANES for width in (d_model, d_ff, d_head)):
        return (f"model.d_model={d_model}, model.d_ff={d_ff} and the width of a head, {d_head}, are not all multiples "
                f"of {native.LANES}")
    return "a layer has a hook" if has_hooks(layer) else unfit_weight(layer)
