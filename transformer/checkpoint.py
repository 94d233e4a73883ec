"""Reading and writing of weights as safetensors: no pickle, and equal weights give equal bytes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from embeddings.table.atomic_files import replacing
from embeddings.table.paths import utf8_path
from transformer.errors import CheckpointError

REMEDY = "delete the file and resume: training then begins again, with the word vectors as they are"
RENAMED = ((re.compile(r"(^|\.)segments\.weight(?=\.|$)"), r"\1token_types.weight"),)
"""Patterns for weight names of earlier versions, and their current names."""
FACTS, SHA256 = "facts", "sha256"  # keys in the metadata of a checkpoint: JSON, and the hash of it and the tensors
EARLIER_SEAL = "seal"  # in checkpoints of version 0.1.0: a hash without the content of the tensors


def save_weights(model: nn.Module, path: Path) -> None:
    """Write all weights and persistent buffers of a model; fixed position encodings are not among them."""
    save_tensors(state_of(model), path)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name; the file is complete or absent."""
    with replacing(path) as new:
        save_file(_on_disk(tensors), new)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights written by :func:`save_weights`.

    Raises:
        CheckpointError: if the file is missing or is not in safetensors format.
    """
    try:
        with utf8_path(path) as readable:
            weights: dict[str, Tensor] = load_file(readable)
    except Exception as error:  # OSError, or the exception class of safetensors
        raise CheckpointError(f"{path}: cannot read the weights ({error}); restore the file from a copy, or train again"
                              ) from error
    return {current_name(name): weight for name, weight in weights.items()}


def current_name(name: str) -> str:
    """Translate the name of a weight or of its optimizer state from earlier versions to the current one."""
    for pattern, new in RENAMED:
        name = pattern.sub(new, name)
    return name


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], origin: Path) -> None:
    """Load weights into a model.

    Raises:
        CheckpointError: if names, shapes or kinds of numbers differ; the message names the first difference.
    """
    expected, names = state_of(model), first_names(model)
    missing = next((name for name in expected if name not in weights), None)
    unknown = next((name for name in weights if name not in expected and name not in names), None)
    wrong = next((name for name, weight in weights.items() if name in expected and _kind(weight) != _kind(
        expected[name])), None)
    if missing or unknown:
        difference = f"{missing!r} is missing" if missing else f"{unknown!r} is not one of its weights"
    elif wrong:
        difference = f"{wrong!r} is {_kind(weights[wrong])} instead of {_kind(expected[wrong])}"
    else:
        load_state(model, weights)
        return
    raise CheckpointError(f"{origin}: the weights do not match the model that the other files of the folder describe: "
                          f"{difference}. One of the files is damaged or of another run: restore it from a copy, or "
                          "train again")


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Return weights and persistent buffers, not copied; a tied weight is listed once, under its first name."""
    names = first_names(model)
    return {name: tensor.detach() for name, tensor in model.state_dict().items() if names.get(name, name) == name}


def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the tensors from :func:`state_of` into a model; raises RuntimeError if names or shapes differ."""
    names = first_names(model)
    tied = {name: state[first] for name, first in names.items() if name not in state and first in state}
    model.load_state_dict({**state, **tied})


def first_names(model: nn.Module) -> dict[str, str]:
    """Map every parameter name to the first name of the same parameter."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(weight), name)
            for name, weight in model.named_parameters(remove_duplicate=False)}


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON to one file, atomically.

    Raises:
        CheckpointError: if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(facts)
        stored = _on_disk(tensors)
        with replacing(path) as new:
            save_file(stored, new, {FACTS: text, SHA256: _content_hash(text, stored)})
    except Exception as error:  # OSError, or the exception class of safetensors
        raise CheckpointError(f"{path}: cannot write the checkpoint ({error}); free disk space, or choose "
                              "another folder for the run") from error


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and JSON written by :func:`write_checkpoint`.

    Raises:
        CheckpointError: if the file cannot be read, is damaged, or is not a checkpoint.
    """
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not iterable)
        if EARLIER_SEAL in metadata:
            if metadata[EARLIER_SEAL] != _earlier_seal(metadata[FACTS], tensors):
                raise ValueError("its description does not match its checksum")
        elif metadata[SHA256] != _content_hash(metadata[FACTS], tensors):
            raise ValueError("its content does not match its checksum")
        return {current_name(name): tensor for name, tensor in tensors.items()}, json.loads(metadata[FACTS])
    except Exception as error:  # also of safetensors and json
        raise CheckpointError(f"{path}: the checkpoint is damaged ({error}); {REMEDY}") from error


def _content_hash(facts: str, tensors: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of the JSON and of the names, dtypes, shapes and bytes of contiguous tensors on the CPU."""
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _earlier_seal(facts: str, tensors: Mapping[str, Tensor]) -> str:
    described = sorted(f"{name} {tensor.dtype} {tuple(tensor.shape)}" for name, tensor in tensors.items())
    return hashlib.sha256("\n".join([facts, *described]).encode()).hexdigest()


def _kind(tensor: Tensor) -> str:
    return f"{'float' if tensor.is_floating_point() else tensor.dtype} {list(tensor.shape)}"


def _on_disk(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
