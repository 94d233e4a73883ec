"""Engine that computes the last layer for the first token of each text only, in PyTorch, on any device.

It is used where a head reads the first token alone (``model.pooling=cls``) and no compiled code applies. With one query
for each text, keys and values are not needed: ``q . (W_K x_j)`` is ``(q W_K) . x_j``, and the sum of ``p_j W_V x_j`` is
``W_V`` of the sum of ``p_j x_j``. Two products for each text replace two for each of its tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transformer.kernels.engine import Call, engine, has_hooks
from transformer.kernels.packed_output import encoded_cls
from transformer.kernels.precision import in_float32
from transformer.layers.attention import MultiHeadAttention
from transformer.layers.transformer_layer import PostNormLayer, TransformerLayer
from transformer.models.outputs import Encoded, Needs
from transformer.models.stack import attention_mask, padding_mask, token_positions

if TYPE_CHECKING:
    from transformer.models.stack import Stack


@engine
class ClsEngine:
    """Computes all layers but the last in plain PyTorch, and the last for first tokens."""

    name = "cls"
    priority = 5

    def describe(self) -> str:
        """Name the implementation."""
        return "plain PyTorch, last layer for first tokens only"

    def reasons_against(self, stack: Stack, call: Call) -> list[str]:
        """List why this call needs every token of the last layer, or a layer of another form."""
        last, reasons = stack.layers[-1], []
        if call.needs != "cls":
            reasons.append("the head reads more than the first token (model.pooling)")
        if stack.causal or call.cache is not None or call.memory is not None:
            reasons.append("only for encoders")
        if stack.score_positions is not None:
            reasons.append("positions act inside attention (model.positions)")
        if not isinstance(last, TransformerLayer):
            reasons.append(f"the last layer is a {type(last).__name__}")
        elif has_hooks(last):
            reasons.append("the last layer has a hook")
        if not reasons and not bool((call.ids[:, 0] != 0).all()):
            reasons.append("a text is empty or padded on the left")
        return reasons

    def run(self, stack: Stack, ids: Tensor, token_types: Tensor | None, needs: Needs) -> Encoded:
        """Compute the forward pass."""
        mask = padding_mask(ids)                                                            # (B, L)
        embedded = stack.embedding(ids)                                                     # (B, L, d_embedding)
        x = stack.embed(embedded, token_positions(mask), token_types)                       # (B, L, d_model)
        if stack.convolutions is not None:
            x = stack.convolutions(x, padding_mask=mask)
        allowed = attention_mask(mask, n_queries=ids.shape[1], causal=False)                # (B, 1, 1, L)
        *layers, last = stack.transformer_layers()
        for layer in layers:
            x = layer(x, mask=allowed)
        with in_float32(x.device):  # few products: casts would take longer
            first = cls_layer(last, x.to(last.attention_norm.weight), allowed)              # (B, d_model)
        return encoded_cls(stack.norm(first), stack.project(embedded[:, 0]))


def cls_layer(layer: TransformerLayer, x: Tensor, mask: Tensor) -> Tensor:
    """Compute the layer's output for the first token of each text.

    Args:
        layer: pre-norm or post-norm, without cross-attention.
        x: *Shape:* ``(batch, length, d_model)``.
        mask: True where a key may be attended to. *Shape:* ``(batch, 1, 1, length)``, bool.

    Returns:
        *Shape:* ``(batch, d_model)``.
    """
    post = isinstance(layer, PostNormLayer)
    attended = cls_attention(layer.attention, x if post else layer.attention_norm(x), mask)  # (B, d_model)
    first = x[:, 0] + layer.dropout(attended)                                               # (B, d_model)
    first = layer.attention_norm(first) if post else first
    out: Tensor = first + layer.dropout(layer.feedforward(first if post else layer.feedforward_norm(first)))
    return layer.feedforward_norm(out) if post else out


def cls_attention(attention: MultiHeadAttention, x: Tensor, mask: Tensor) -> Tensor:
    """Compute attention for the first token of each text; arguments as for :func:`cls_layer`."""
    heads = (attention.n_heads, x.shape[2] // attention.n_heads)                            # H, d_head
    q = attention.query(x[:, 0]).view(-1, *heads) * heads[1] ** -0.5                        # (B, H, d_head)
    q_wk = torch.einsum("bhe,hed->bhd", q, attention.key.weight.view(*heads, -1))           # (B, H, d_model)
    scores = q_wk @ x.mT + (q * attention.key.bias.view(heads)).sum(dim=-1, keepdim=True)   # (B, H, L)
    pattern = scores.masked_fill(~mask[:, 0], torch.finfo(scores.dtype).min).softmax(dim=-1)
    context = pattern @ x                                                                   # (B, H, d_model)
    values = torch.einsum("bhd,hed->bhe", context, attention.value.weight.view(*heads, -1)).flatten(1)
    output: Tensor = attention.output(values + attention.value.bias)                        # (B, d_model)
    return output
