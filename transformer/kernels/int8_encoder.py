"""Encoders in eight bits a number, for predictions: each text goes through all layers by itself, in compiled code.

Weights have a scale for each output and activations one for each word, found as they come; norms, softmax and the path
around the branches stay float32. What it says of a text differs from float32 by a few hundredths of its spread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from transformer.kernels import native
from transformer.kernels.fused_layer import INNER
from transformer.kernels.packing import Packing


class Form(NamedTuple):
    """What the layers have in common.

    Attributes:
        n_heads: of attention.
        eps: of all norms.
        post: norms stand behind the sums instead of before the branches.
    """

    n_heads: int
    eps: float
    post: bool


class Start(NamedTuple):
    """What goes into the first layer.

    Attributes:
        table: word vectors. *Shape:* ``(n, d_model)``, float32.
        ids: rows of it. *Shape:* ``(n_rows,)``, int64.
        positions: added to the words for their places. *Shape:* ``(length, d_model)``, float32; None for nothing.
        norm: weight and bias of the norm behind that, or nothing.
    """

    table: Tensor
    ids: Tensor
    positions: Tensor | None
    norm: Sequence[Tensor] = ()


class End(NamedTuple):
    """What comes out of an encoder; what nobody reads has no rows.

    Attributes:
        rows: of the words. *Shape:* ``(n_rows, d_model)``.
        embedded: their word vectors. *Shape:* likewise.
        pooled: :func:`transformer.models.heads.views` of both. *Shape:* ``(batch, 3 d_model)``.
        first: of each text's first word, if that alone is read. *Shape:* ``(batch, d_model)``.
    """

    rows: Tensor
    embedded: Tensor
    pooled: Tensor
    first: Tensor


def layer_in_int8(x: Tensor, packing: Packing, form: Form, weights: Sequence[Tensor]) -> Tensor:
    """One layer without dropout, every token attending to every other; arguments as for the native layer."""
    out = torch.empty_like(x)
    _read(x.shape[1], [weights], packing, form, (), (), x=x, out=out)
    return out


def encoder_in_int8(
    start: Start, packing: Packing, form: Form, layers: Sequence[Sequence[Tensor]], norm: Sequence[Tensor], *,
    reads: str,
) -> End:
    """A whole encoder.

    Args:
        start: what it reads.
        packing: of the rows, made for compiled layers.
        form: of the layers.
        layers: weights of each layer, as :func:`transformer.kernels.native_layer.compiled` takes them.
        norm: weight and bias of the norm behind them, or nothing.
        reads: ``words``, ``views`` or ``first``: what of it somebody looks at.
    """
    d = start.table.shape[1]
    n_rows = packing.n_rows if reads == "words" else 0
    end = End(torch.empty(n_rows, d), torch.empty(n_rows, d), torch.empty(packing.batch, 3 * d),
              torch.empty(packing.batch if reads == "first" else 0, d))
    given = {"embedding": start.table, "token_ids": start.ids}
    if start.positions is not None:
        given["position_embedding"] = start.positions
    if reads == "words":
        given |= {"out": end.rows, "embedded": end.embedded}
    given |= {"first_token": end.first} if reads == "first" else {"pooled": end.pooled}
    _read(d, layers, packing, form, start.norm, norm, **given)
    return end


def _read(
    d: int, layers: Sequence[Sequence[Tensor]], packing: Packing, form: Form, start: Sequence[Tensor],
    norm: Sequence[Tensor], **arrays: Tensor,
) -> None:
    f, n_layers = len(layers[0][INNER]), len(layers)
    layer_weights = (native.LayerWeights * n_layers)()
    for pointers, weights in zip(layer_weights, layers, strict=True):
        pointers.point_to(weights)
    call = native.Int8Call(n_seqs=packing.batch, d_model=d, d_ff=f, n_layers=n_layers, **form._asdict(),
                           layers=ctypes.addressof(layer_weights))
    if start:
        call.embedding_norm.point_to(*start)
    if norm:
        call.final_norm.point_to(*norm)
    native.run("int8_encoder", call, torch.int8, cu_seqlens=packing.starts,
               weight_scales=torch.empty(n_layers, 2, 5 * d + f),
               packed_weights=torch.empty(n_layers, 4 * d * d + 2 * d * f, dtype=torch.int8), **arrays)
