"""Engine of fused layers in bfloat16 on a CPU, in PyTorch: one autograd function for each layer.

It is used where there is no compiled code for the processor, and on processors with matrix units (AMX). The residual
stream and the norms are float32 and the rest bfloat16, as under autocast. What it saves is everything around the matrix
products: casts, copies, and the bookkeeping of a hundred small operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from transformer.kernels.engine import Call, engine, has_hooks
from transformer.kernels.layer_spec import FEEDFORWARD_INNER, LayerSpec, spec_of, weights_of
from transformer.kernels.packing import Packing
from transformer.kernels.precision import low_dtype
from transformer.layers.dropout import dropout_factors
from transformer.layers.transformer_layer import PostNormLayer, TransformerLayer
from transformer.models.outputs import Encoded, Needs
from transformer.models.stack import attention_mask, padding_mask, token_positions

if TYPE_CHECKING:
    from transformer.models.stack import Stack

LOW = torch.bfloat16
MULTIPLE = 16        # texts are padded to a multiple of this length, at which bfloat16 products are fast
MAX_LENGTH = 1024    # beyond, the attention scores of all pairs would take too much memory
MAX_DENSITY = 0.95   # with a larger share of real tokens, packing costs more than it saves


@engine
class FusedEngine:
    """Computes each layer as one autograd function in bfloat16, over real tokens if there is much padding."""

    name = "fused"
    priority = 10

    def describe(self) -> str:
        """Name the implementation."""
        return "fused bfloat16 (PyTorch)"

    def reasons_against(self, stack: Stack, call: Call) -> list[str]:
        """List why fused layers cannot compute this call."""
        weight, reasons = stack.embedding.weight, []
        if weight.device.type != "cpu" or weight.dtype != torch.float32:
            reasons.append("only for float32 weights on a CPU")
        elif low_dtype(weight.device) != LOW:
            reasons.append("only for bfloat16 (training.precision)")
        if call.cache is not None:
            reasons.append("tokens are generated one by one, with cached keys and values")
        if call.memory is not None:
            reasons.append("the decoder has cross-attention")
        if stack.score_positions is not None:
            reasons.append("positions act inside attention (model.positions)")
        if call.ids.shape[1] > MAX_LENGTH:
            reasons.append(f"texts have more than {MAX_LENGTH} tokens")
        return reasons or [reason for layer in stack.layers if (reason := _reason_against_layer(layer))][:1]

    def run(self, stack: Stack, ids: Tensor, token_types: Tensor | None, needs: Needs) -> Encoded:
        """Compute the forward pass."""
        length = ids.shape[1]
        room = -length % MULTIPLE
        padded, types = F.pad(ids, (0, room)), None if token_types is None else F.pad(token_types, (0, room))
        mask = padding_mask(padded)                                                         # (B, L)
        positions = token_positions(mask)
        if len(positions) == 1:
            positions = positions.clamp(max=length - 1)                                     # (1, L)
        embedded = stack.embedding(padded)                                                  # (B, L, d_embedding)
        x = stack.embed(embedded, positions, types)                                         # (B, L, d_model)
        if stack.convolutions is not None:
            x = stack.convolutions(x, padding_mask=mask)
        packing = RoundedPacking(mask) if int(mask.sum()) <= MAX_DENSITY * mask.numel() else None
        allowed = additive(attention_mask(mask, n_queries=mask.shape[1], causal=stack.causal))
        rows = packing.pack(x) if packing else x.flatten(0, 1)                              # (N, d_model)
        for layer in stack.transformer_layers():
            rows = fused(rows, layer, allowed, packing, mask.shape)
        rows = stack.norm(rows)
        hidden = packing.unpack(rows) if packing else rows.view(x.shape)
        embedded = stack.project(embedded[:, :length])                                      # (B, length, d_model)
        return Encoded(hidden[:, :length], embedded, mask[:, :length], token_types)


class RoundedPacking(Packing):
    """A packing whose number of rows is rounded up, since oneDNN prepares a product for each new size."""

    @property
    def n_rows(self) -> int:
        """Number of rows: one of sixteen sizes in each doubling, at most 7 % more than there are tokens."""
        n = len(self.tokens)
        step = max(8, 1 << max(0, n.bit_length() - 5))
        return -(-n // step) * step

    def pack(self, x: Tensor) -> Tensor:
        """Remove the padding, and append rows of zeros. *Shape:* ``(batch, length, width)`` to ``(n_rows, width)``."""
        packed = x.flatten(0, 1).index_select(0, self.tokens)
        return F.pad(packed, (0, 0, 0, self.n_rows - len(packed)))

    def unpack(self, x: Tensor) -> Tensor:
        """Insert padding of zeros. *Shape:* ``(n_rows, width)`` to ``(batch, length, width)``."""
        padded = x.new_zeros(self.batch * self.length, x.shape[1])
        return padded.index_copy(0, self.tokens, x[: len(self.tokens)]).view(self.batch, self.length, x.shape[1])


def _reason_against_layer(layer: object) -> str:
    if not isinstance(layer, TransformerLayer):
        return f"a layer is a {type(layer).__name__}"
    if layer.cross_attention is not None:
        return "the decoder has cross-attention"
    if isinstance(layer, PostNormLayer):
        return "the norms follow the residual sums (model.norm=post)"
    if layer.feedforward.activation is not F.gelu:
        return "the activation is not gelu (model.activation)"
    return "a layer has a hook" if has_hooks(layer) else ""


def fused(
    x: Tensor, layer: TransformerLayer, mask: Tensor, packing: Packing | None, shape: Sequence[int]
) -> Tensor:
    """Compute a pre-norm layer with self-attention and GELU.

    Args:
        x: *Shape:* ``(N, d_model)``, float32.
        layer: its weights and hyperparameters.
        mask: added to the scores. *Shape:* broadcasts to ``(batch, 1, length, length)``, bfloat16.
        packing: of the rows, if padding was removed.
        shape: batch size and length.

    Returns:
        float32. *Shape:* that of ``x``.
    """
    weights, p = weights_of(layer), layer.dropout.p if layer.training else 0.0
    widths = (x.shape[-1], len(weights[FEEDFORWARD_INNER]), x.shape[-1])
    factors = [dropout_factors(len(x) * width, p, LOW).view(-1, width) if p else None for width in widths]
    out: Tensor = FusedLayer.apply(  # type: ignore[no-untyped-call]
        x, mask, packing, tuple(shape), spec_of(layer), factors, *weights)
    return out


class FusedLayer(torch.autograd.Function):
    """The layer as a function of its input and its weights. N is the number of rows."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mask: Tensor, packing: Packing | None, shape: tuple[int, int], spec: LayerSpec,
        factors: list[Tensor | None], norm1: Tensor, bias1: Tensor, norm2: Tensor, bias2: Tensor, *linears: Tensor,
    ) -> Tensor:
        """Map ``(N, d_model)`` to the same shape."""
        width, n_heads = (x.shape[1],), spec.n_heads
        scale = (x.shape[1] // n_heads) ** -0.5
        w_qkv = (torch.cat([scale * linears[0], *linears[2:6:2]]).to(LOW),                  # (3 d_model, d_model)
                 torch.cat([scale * linears[1], *linears[3:6:2]]).to(LOW))                  # (3 d_model,)
        w_out, w_inner, w_outer = ((linears[i].to(LOW), linears[i + 1].to(LOW)) for i in (6, 8, 10))

        normed, *stats1 = torch.native_layer_norm(x, width, norm1, bias1, spec.eps)         # (N, d_model)
        ln1_out = normed.to(LOW)
        qkv = F.linear(ln1_out, *w_qkv)                                                     # (N, 3 d_model)
        heads = _by_head(packing.unpack(qkv) if packing else qkv, shape, 3, n_heads)        # (3, B H, L, d_head)
        q, k, v = heads                                                                     # queries are scaled
        scores = torch.bmm(q, k.mT)                                                         # (B H, L, L)
        scores.view(-1, n_heads, *scores.shape[1:]).add_(mask)
        pattern = scores.softmax(dim=-1)
        attended = _by_row(torch.bmm(pattern, v)[None], n_heads)                            # (B L, d_model)
        attended = packing.pack(attended.view(*shape, -1)) if packing else attended         # (N, d_model)
        resid_mid = x + _scaled(F.linear(attended, *w_out), factors[0])                     # (N, d_model), float32

        normed, *stats2 = torch.native_layer_norm(resid_mid, width, norm2, bias2, spec.eps)
        ln2_out = normed.to(LOW)
        inner = F.linear(ln2_out, *w_inner)                                                 # (N, d_ff)
        activated = _scaled(F.gelu(inner), factors[1])                                      # (N, d_ff)
        ctx.save_for_backward(x, resid_mid, *stats1, *stats2, norm1, bias1, norm2, bias2, w_qkv[0], w_out[0],
                              w_inner[0], w_outer[0], ln1_out, heads, pattern, attended, ln2_out, inner, activated,
                              *factors)
        ctx.packing, ctx.shape, ctx.n_heads, ctx.scale = packing, shape, n_heads, scale
        return resid_mid + _scaled(F.linear(activated, *w_outer), factors[2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of the input and of every weight."""
        (x, resid_mid, mean1, rstd1, mean2, rstd2, norm1, bias1, norm2, bias2, w_qkv, w_out, w_inner, w_outer, ln1_out,
         heads, pattern, attended, ln2_out, inner, activated, *factors) = ctx.saved_tensors
        packing, width = ctx.packing, [x.shape[1]]
        every = [True, True, True]
        dout = gradients[0]                                                                 # (N, d_model), float32

        d_outer = _scaled(dout.to(LOW), factors[2])
        d_activated = _scaled(d_outer @ w_outer, factors[1])
        d_inner = torch.ops.aten.gelu_backward(d_activated, inner)                          # (N, d_ff)
        d_ln2 = (d_inner @ w_inner).float()
        d_resid_mid, *d_norm2 = torch.ops.aten.native_layer_norm_backward(
            d_ln2, resid_mid, width, mean2, rstd2, norm2, bias2, every)
        d_resid_mid += dout

        d_out = _scaled(d_resid_mid.to(LOW), factors[0])
        d_attended = d_out @ w_out                                                          # (N, d_model)
        d_attended = _by_head(packing.unpack(d_attended) if packing else d_attended, ctx.shape, 1, ctx.n_heads)[0]
        q, k, v = heads
        d_heads = torch.empty_like(heads)
        d_scores = torch._softmax_backward_data(torch.bmm(d_attended, v.mT), pattern, -1, LOW)
        torch.bmm(d_scores, k, out=d_heads[0])
        torch.bmm(d_scores.mT, q, out=d_heads[1])
        torch.bmm(pattern.mT, d_attended, out=d_heads[2])
        d_qkv = _by_row(d_heads, ctx.n_heads)                                               # (B L, 3 d_model)
        d_qkv = packing.pack(d_qkv.view(*ctx.shape, -1)) if packing else d_qkv              # (N, 3 d_model)
        d_ln1 = (d_qkv @ w_qkv).float()
        dx, *d_norm1 = torch.ops.aten.native_layer_norm_backward(d_ln1, x, width, mean1, rstd1, norm1, bias1, every)
        dx += d_resid_mid

        d_w_qkv = list(zip((d_qkv.mT @ ln1_out).float().chunk(3), d_qkv.sum(0).float().chunk(3), strict=True))
        for gradient in d_w_qkv[0]:
            gradient.mul_(ctx.scale)
        d_linears = [*d_w_qkv, *(((grad.mT @ into).float(), grad.sum(0).float()) for grad, into in (
            (d_out, attended), (d_inner, ln2_out), (d_outer, activated)))]
        return (dx, *[None] * 5, *d_norm1, *d_norm2, *(part for pair in d_linears for part in pair))


def additive(mask: Tensor) -> Tensor:
    """Turn a mask into values to add to the scores: 0 where it is True, else minus infinity."""
    return torch.zeros_like(mask, dtype=LOW).masked_fill_(~mask, float("-inf"))


def _scaled(x: Tensor, factors: Tensor | None) -> Tensor:
    """Multiply by dropout factors, in place."""
    return x if factors is None else x.mul_(factors)


def _by_head(rows: Tensor, shape: tuple[int, int], n: int, n_heads: int) -> Tensor:
    """Split rows of ``n`` vectors into heads: ``(batch length, n d_model)`` to ``(n, batch heads, length, d_head)``."""
    batch, length = shape
    d_head = rows.shape[-1] // (n * n_heads)
    return rows.view(batch, length, n, n_heads, d_head).permute(2, 0, 3, 1, 4).reshape(n, -1, length, d_head)


def _by_row(heads: Tensor, n_heads: int) -> Tensor:
    """Invert :func:`_by_head`."""
    n, _, length, d_head = heads.shape
    return heads.view(n, -1, n_heads, length, d_head).permute(1, 3, 0, 2, 4).reshape(-1, n * n_heads * d_head)
