"""Encoders in int8, for predictions: every text passes through all layers on its own, in compiled code.

Weights have one scale for each output and activations one for each token, computed on the fly. Norms, softmax and the
residual stream stay float32. The output differs from float32's by a few hundredths of its standard deviation.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from transformer.kernels import native
from transformer.kernels.layer_spec import FEEDFORWARD_INNER, LayerSpec
from transformer.kernels.packing import Packing


class EncoderInput(NamedTuple):
    """Input of the first layer.

    Attributes:
        table: embedding matrix. *Shape:* ``(n, d_model)``, float32.
        ids: row of each token in it. *Shape:* ``(n_rows,)``, int64.
        positions: position encoding to add, if any. *Shape:* ``(length, d_model)``, float32.
        norm: weight and bias of the norm that follows; empty for none.
    """

    table: Tensor
    ids: Tensor
    positions: Tensor | None
    norm: Sequence[Tensor] = ()


class EncoderOutput(NamedTuple):
    """Output of an encoder; tensors that were not asked for have no rows.

    Attributes:
        rows: output for each token. *Shape:* ``(n_rows, d_model)``.
        embedded: embedding of each token. *Shape:* as ``rows``.
        features: :func:`transformer.models.outputs.pooled_features` of both. *Shape:* ``(batch, 3 d_model)``.
        cls: output for the first token of each text. *Shape:* ``(batch, d_model)``.
    """

    rows: Tensor
    embedded: Tensor
    features: Tensor
    cls: Tensor


def int8_layer(x: Tensor, packing: Packing, spec: LayerSpec, weights: Sequence[Tensor]) -> Tensor:
    """Compute one layer without dropout; arguments and result as for the native layer."""
    out = torch.empty_like(x)
    _run(x.shape[1], [weights], packing, spec, (), (), x=x, out=out)
    return out


def int8_encoder(
    start: EncoderInput, packing: Packing, spec: LayerSpec, layers: Sequence[Sequence[Tensor]], norm: Sequence[Tensor],
    *, needs: str,
) -> EncoderOutput:
    """Compute a whole encoder.

    Args:
        start: input of the first layer.
        packing: the batch of the rows.
        spec: hyperparameters of the layers.
        layers: weights of each layer, as :func:`transformer.kernels.layer_spec.weights_of` returns them.
        norm: weight and bias of the norm after the last layer; empty for none.
        needs: what to return: ``tokens``, ``features`` or ``cls``.
    """
    d = start.table.shape[1]
    n_rows = packing.n_rows if needs == "tokens" else 0
    end = EncoderOutput(torch.empty(n_rows, d), torch.empty(n_rows, d), torch.empty(packing.batch, 3 * d),
                        torch.empty(packing.batch if needs == "cls" else 0, d))
    given = {"embedding": start.table, "token_ids": start.ids}
    if start.positions is not None:
        given["position_embedding"] = start.positions
    if needs == "tokens":
        given |= {"out": end.rows, "embedded": end.embedded}
    given |= {"first_token": end.cls} if needs == "cls" else {"pooled": end.features}
    _run(d, layers, packing, spec, start.norm, norm, **given)
    return end


def _run(
    d: int, layers: Sequence[Sequence[Tensor]], packing: Packing, spec: LayerSpec, start: Sequence[Tensor],
    norm: Sequence[Tensor], **arrays: Tensor,
) -> None:
    f, n_layers = len(layers[0][FEEDFORWARD_INNER]), len(layers)
    layer_weights = (native.LayerWeights * n_layers)()
    for pointers, weights in zip(layer_weights, layers, strict=True):
        pointers.point_to(weights)
    call = native.Int8Call(n_seqs=packing.batch, d_model=d, d_ff=f, n_layers=n_layers, **spec._asdict(),
                           layers=ctypes.addressof(layer_weights))
    if start:
        call.embedding_norm.point_to(*start)
    if norm:
        call.final_norm.point_to(*norm)
    native.run("int8_encoder", call, torch.int8, cu_seqlens=packing.starts,
               weight_scales=torch.empty(n_layers, 2, 5 * d + f),
               packed_weights=torch.empty(n_layers, 4 * d * d + 2 * d * f, dtype=torch.int8), **arrays)
