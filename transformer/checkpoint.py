"""Weights to and from disk, as safetensors: nothing is unpickled, and equal weights give equal bytes."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from transformer.errors import CheckpointError


def save_weights(model: nn.Module, path: Path) -> None:
    """Write every trained weight and persistent buffer. The fixed positions are not weights and are left out."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}, path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read what :func:`save_weights` wrote.

    Raises:
        CheckpointError: if the file is missing or is not safetensors.
    """
    try:
        weights: dict[str, Tensor] = load_file(path)
    except Exception as error:  # the library has an exception of its own beside OSError
        raise CheckpointError(f"{path}: cannot read the weights ({error})") from error
    return weights


def load_weights(model: nn.Module, weights: dict[str, Tensor], origin: Path) -> None:
    """Put weights into a model of the same shape.

    Raises:
        CheckpointError: if names or shapes differ.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{origin}: the weights do not fit the model of config.toml ({error})") from error
