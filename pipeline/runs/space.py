"""Estimates of the disk space that a run needs."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from pipeline.config import RunConfig
from pipeline.runs.place import require_space
from transformer.config import ModelConfig

BYTES = 4  # of a float32
COPIES_OF_ALL = 12  # two checkpoints of five (weights, average, best epoch, two moments), and the weights twice
COPIES_OF_FIXED = 3  # buffers: in two checkpoints, and with the weights
SMALLEST = 1_000_000  # bytes of the report, the predictions and the tokenizer of a small run


def require_space_for_run(folder: Path, config: RunConfig) -> None:
    """Check before any work that a disk has space for at least the layers of the model.

    Raises:
        RunFolderError: if it has not.
    """
    n_bytes = BYTES * _n_layer_weights(config.model)
    require_space(folder, SMALLEST + COPIES_OF_ALL * n_bytes, purpose="the files of the run")


def require_space_for_training(folder: Path, model: nn.Module) -> None:
    """Check before training that a disk has space for the checkpoints and weights of a model.

    Raises:
        RunFolderError: if it has not.
    """
    n_bytes = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    n_fixed = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    require_space(folder, SMALLEST + COPIES_OF_ALL * n_bytes + COPIES_OF_FIXED * n_fixed,
                  purpose="the checkpoints and weights of the run")


def _n_layer_weights(model: ModelConfig) -> int:
    """Return a lower bound of the number of weights, from the matrices of all layers."""
    return model.n_layers * (4 * model.d_model**2 + 2 * model.d_model * model.d_ff)
