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

from transformer import native
from transformer.fused import INNER
from transformer.packing import Packing


class Start(NamedTuple):
    """What goes into the first layer.

    Attributes:
        table: word vectors. *Shape:* ``(n, d_model)``, float32.
        ids: rows of it. *Shape:* ``(n_rows,)``, int64.
        positions: added to the words for their places. *Shape:* ``(length, d_model)``, float32; None for nothing.
    """

    table: Tensor
    ids: Tensor
    positions: Tensor | None


class End(NamedTuple):
    """What comes out of an encoder: its rows, the word vectors, and :func:`transformer.heads.views` of both.

    *Shape:* ``(n_rows, d_model)`` twice, without rows if nobody looks at them; ``(batch, 3 d_model)``.
    """

    rows: Tensor
    embedded: Tensor
    pooled: Tensor


def layer_in_int8(x: Tensor, packing: Packing, n_heads: int, eps: float, weights: Sequence[Tensor]) -> Tensor:
    """One layer, as :func:`transformer.compiled.compiled` but for dropout; no word is hidden from another."""
    out = torch.empty_like(x)
    _read(x.shape[1], [weights], packing, n_heads, eps, x=x, out=out)
    return out


def encoder_in_int8(
    start: Start, packing: Packing, n_heads: int, eps: float, layers: Sequence[Sequence[Tensor]],
    norm: Sequence[Tensor], *, views_only: bool,
) -> End:
    """A whole encoder.

    Args:
        start: what it reads.
        packing: of the rows, made for compiled layers.
        n_heads: of attention.
        eps: of the norms.
        layers: weights of each layer, as :func:`transformer.compiled.compiled` takes them.
        norm: weight and bias of the norm behind them.
        views_only: nobody looks at the rows.
    """
    d, n_rows = start.table.shape[1], 0 if views_only else packing.n_rows
    end = End(torch.empty(n_rows, d), torch.empty(n_rows, d), torch.empty(packing.batch, 3 * d))
    given = {"table": start.table, "ids": start.ids}
    if start.positions is not None:
        given["positions"] = start.positions
    if not views_only:
        given |= {"out": end.rows, "embedded": end.embedded}
    _read(d, layers, packing, n_heads, eps, norm, pooled=end.pooled, **given)
    return end


def _read(
    d: int, layers: Sequence[Sequence[Tensor]], packing: Packing, n_heads: int, eps: float,
    norm: Sequence[Tensor] = (), **arrays: Tensor,
) -> None:
    f, n_layers = len(layers[0][INNER]), len(layers)
    parts = (native.Part * (8 * n_layers))()
    pairs = [pair for weights in layers for pair in zip(weights[::2], weights[1::2], strict=True)]
    call = native.Reading(n_texts=packing.batch, d=d, f=f, n_heads=n_heads, n_layers=n_layers, eps=eps,
                          layers=ctypes.addressof(parts))
    for part, (weight, bias) in zip([*parts, call.norm], [*pairs, norm] if norm else pairs, strict=False):
        part.weight, part.bias = weight.data_ptr(), bias.data_ptr()
    native.run("read", call, torch.int8, starts=packing.starts, scales=torch.empty(n_layers, 2, 5 * d + f),
               panels=torch.empty(n_layers, 4 * d * d + 2 * d * f, dtype=torch.int8), **arrays)
