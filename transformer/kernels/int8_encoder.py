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
    _read(x.shape[1], [weights], packing, spec, (), (), x=x, out=out)
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
    given = {"table": start.table, "ids": start.ids}
    if start.positions is not None:
        given["positions"] = start.positions
    if needs == "tokens":
        given |= {"out": end.rows, "embedded": end.embedded}
    given |= {"first": end.cls} if needs == "cls" else {"pooled": end.features}
    _read(d, layers, packing, spec, start.norm, norm, **given)
    return end


def _read(
    d: int, layers: Sequence[Sequence[Tensor]], packing: Packing, spec: LayerSpec, start: Sequence[Tensor],
    norm: Sequence[Tensor], **arrays: Tensor,
) -> None:
    f, n_layers = len(layers[0][FEEDFORWARD_INNER]), len(layers)
    parts = (native.Part * (8 * n_layers))()
    call = native.Reading(n_texts=packing.batch, d=d, f=f, n_layers=n_layers, **spec._asdict(),
                          layers=ctypes.addressof(parts))
    around = [(part, given) for part, given in ((call.start, start), (call.norm, norm)) if given]
    within = zip(parts, (pair for weights in layers for pair in zip(weights[::2], weights[1::2], strict=True)),
                 strict=True)
    for part, (weight, bias) in (*around, *within):
        part.weight, part.bias = weight.data_ptr(), bias.data_ptr()
    native.run("read", call, torch.int8, starts=packing.starts, scales=torch.empty(n_layers, 2, 5 * d + f),
               panels=torch.empty(n_layers, 4 * d * d + 2 * d * f, dtype=torch.int8), **arrays)
