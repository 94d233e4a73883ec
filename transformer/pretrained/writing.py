"""Trained weights under the names of the checkpoint from which they were read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from embeddings.table.atomic_files import replacing
from embeddings.table.safetensors import open_tensors, to_stored, write_tensors
from transformer.errors import CheckpointError
from transformer.pretrained.body import Body
from transformer.pretrained.files import SAFETENSORS
from transformer.pretrained.part import Part


def write_weights(body: Body, stack: Mapping[str, Tensor], head: Mapping[str, Tensor]) -> None:
    """Replace weights of a checkpoint; all other tensors keep their bytes.

    A second copy of a replaced tensor, such as output embeddings that are tied to the table, is replaced as well.
    Floats keep their width in the file.

    Args:
        body: the checkpoint, whose weights are one file in safetensors format.
        stack: new weights by their names in ``body.stack``; some or all of them.
        head: new weights by their names in ``body.head``.

    Raises:
        CheckpointError: if there is no such file.
    """
    path = body.folder / SAFETENSORS
    if not path.is_file():
        raise CheckpointError(f"{body.folder}: its weights are not the single file {SAFETENSORS}; save it so")
    parts = [(body.stack.parts[name], weight) for name, weight in stack.items()]
    parts += [(body.head.parts[name], weight) for name, weight in head.items()]
    changed = _changed(path, parts)
    opened = open_tensors(path)
    copies = {name: changed[original] for name, original in _copies(path, changed, body.n_tokens).items()}
    kinds = {name: opened.kind(name) for name in opened}
    tensors = {name: opened.stored(name) for name in opened}
    tensors |= {name: to_stored(tensor.numpy(), kinds[name]) for name, tensor in (changed | copies).items()}
    with replacing(path) as new:
        write_tensors(new, tensors, kinds, {"format": "pt"})


def put(part: Part, tensor: Tensor, weight: Tensor) -> None:
    """Write a weight into a tensor of the checkpoint: the inverse of :meth:`CheckpointTensors.read`.

    Args:
        part: where the weight is.
        tensor: the tensor, which is changed.
        weight: our weight, of the shape that the part has.
    """
    part.take(tensor).copy_(weight.detach() / part.factor)


def _changed(path: Path, parts: list[tuple[Part, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors of a file with new weights, float32."""
    opened = open_tensors(path)
    changed: dict[str, Tensor] = {}
    for part, weight in parts:
        if part.name not in changed:
            changed[part.name] = torch.tensor(opened[part.name])
        put(part, changed[part.name], weight)
    return changed


def _copies(path: Path, changed: Mapping[str, Tensor], n_tokens: int) -> dict[str, str]:
    """Return the tensors with one row per token that repeat a changed one, and the name of that."""
    opened = open_tensors(path)
    rows = [name for name in opened if opened.shape(name)[:1] == (n_tokens,) and opened.is_float(name)]
    return {name: original for name in rows if name not in changed for original in rows if original in changed
            and opened.shape(name) == opened.shape(original) and (opened[name] == opened[original]).all()}
