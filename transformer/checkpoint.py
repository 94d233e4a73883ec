"""Weights to and from disk, as safetensors: nothing is unpickled, and equal weights give equal bytes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from transformer.errors import CheckpointError

RENAMED = ((re.compile(r"(^|\.)segments\.weight(?=\.|$)"), r"\1token_types.weight"),)
"""Patterns of weight names of earlier versions, and what they are called now."""
FACTS, SEAL = "facts", "seal"  # keys of safetensors' metadata: the JSON, and a hash


def save_weights(model: nn.Module, path: Path) -> None:
    """Write every trained weight and persistent buffer. The fixed positions are not weights and are left out."""
    save_tensors(state_of(model), path)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by their names."""
    save_file(_on_disk(tensors), path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read what :func:`save_weights` wrote.

    Raises:
        CheckpointError: if the file is missing or is not safetensors.
    """
    try:
        weights: dict[str, Tensor] = load_file(path)
    except Exception as error:  # the library has an exception of its own beside OSError
        raise CheckpointError(f"{path}: cannot read the weights ({error})") from error
    return {current_name(name): weight for name, weight in weights.items()}


def current_name(name: str) -> str:
    """Translate the name of a weight, or of an optimizer's tensor of it, from earlier versions to today's."""
    for pattern, new in RENAMED:
        name = pattern.sub(new, name)
    return name


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], origin: Path) -> None:
    """Put weights into a model of the same shape.

    Raises:
        CheckpointError: if names or shapes differ.
    """
    try:
        load_state(model, weights)
    except RuntimeError as error:
        raise CheckpointError(f"{origin}: the weights do not fit the model of config.toml ({error})") from error


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Weights and persistent buffers as they are now, not copied; one of several names (a tied output) by its first."""
    names = first_names(model)
    return {name: tensor.detach() for name, tensor in model.state_dict().items() if names.get(name, name) == name}


def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put what :func:`state_of` gave into a model; raises RuntimeError if names or shapes differ."""
    names = first_names(model)
    again = {name: state[first] for name, first in names.items() if name not in state and first in state}
    model.load_state_dict({**state, **again})


def first_names(model: nn.Module) -> dict[str, str]:
    """For every name of a weight, the first name that the same weight has."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(weight), name)
            for name, weight in model.named_parameters(remove_duplicate=False)}


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON as one file, which is there whole or, like one that it replaces, untouched.

    Raises:
        CheckpointError: if it cannot be written.
    """
    beside = unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(facts)
        save_file(_on_disk(tensors), beside, {FACTS: text, SEAL: _seal(text, tensors)})
        beside.replace(path)
    except Exception as error:  # the library has an exception of its own beside OSError
        sweep(path)
        raise CheckpointError(f"{path}: cannot write the checkpoint ({error}); make room there, or choose another "
                              "place for the run") from error


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_checkpoint` wrote.

    Raises:
        CheckpointError: if it cannot be read or is something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not iterable)
        if metadata[SEAL] != _seal(metadata[FACTS], tensors):
            raise ValueError("damaged")
        return {current_name(name): tensor for name, tensor in tensors.items()}, json.loads(metadata[FACTS])
    except Exception as error:  # the library has an exception of its own beside OSError
        raise CheckpointError(f"{path}: not a checkpoint that can be read ({error}); delete it to start anew"
                              ) from error


def unfinished(path: Path) -> Path:
    """Where a checkpoint is written before it is whole."""
    return path.with_name(f".{path.name}-unfinished")


def sweep(path: Path) -> None:
    """Remove what a process that ended while it wrote a checkpoint has left beside it."""
    with suppress(OSError):
        unfinished(path).unlink()


def _seal(facts: str, tensors: Mapping[str, Tensor]) -> str:
    """A hash of all but the tensors' numbers, so that a damaged description is not taken for another."""
    described = sorted(f"{name} {tensor.dtype} {tuple(tensor.shape)}" for name, tensor in tensors.items())
    return hashlib.sha256("\n".join([facts, *described]).encode()).hexdigest()


def _on_disk(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
