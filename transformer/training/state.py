"""The state of a training run, and its checkpoint: a resumed run computes the same bits as an uninterrupted one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transformer.checkpoint import REMEDY, current_name, load_state, read_checkpoint, state_of, write_checkpoint
from transformer.errors import CheckpointError
from transformer.training.config import TrainingConfig
from transformer.training.optimizer import Optimizer

COUNTERS = {"epoch": "epoch", "steps_in_epoch": "done", "steps_per_epoch": "steps_per_epoch", "tokens": "tokens",
            "seconds": "seconds", "history": "history"}
"""The fields of :class:`TrainingState` that are saved as JSON, and their keys in a checkpoint."""


@dataclass(frozen=True)
class Best:
    """The epoch with the best dev score.

    Attributes:
        score: score of its evaluation.
        epoch: from 1.
        weights: averaged weights by parameter name.
    """

    score: tuple[float, ...]
    epoch: int
    weights: Mapping[str, Tensor]


@dataclass
class TrainingState:
    """The state of a training run in progress.

    Attributes:
        model: the model with the weights of the last step.
        optimizer: the moments and the moving average of the weights.
        epoch: current epoch, from 1.
        steps_in_epoch: optimizer steps made in the current epoch.
        steps_per_epoch: 0 before the first epoch.
        tokens: number of tokens trained on.
        seconds: time spent in training steps.
        losses: loss of each step of the current epoch, on the model's device; NaN where there is none. One tensor, as
            small ones that stay in memory would fragment the heap. *Shape:* ``(steps_per_epoch,)``, float32.
        history: one entry for each finished epoch.
        best: the finished epoch with the best dev score; None before the first evaluation.
    """

    model: nn.Module
    optimizer: Optimizer
    epoch: int = 1
    steps_in_epoch: int = 0
    steps_per_epoch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))
    history: list[Mapping[str, Any]] = field(default_factory=list)
    best: Best | None = None

    @property
    def step(self) -> int:
        """Number of optimizer steps made in all epochs."""
        return (self.epoch - 1) * self.steps_per_epoch + self.steps_in_epoch

    def clear_losses(self) -> None:
        """Prepare ``losses`` for an epoch."""
        self.losses = torch.full((self.steps_per_epoch,), math.nan, device=next(self.model.parameters()).device)

    def save(self, path: Path, *, settings: Mapping[str, Any], random: Sequence[Mapping[str, Tensor]]) -> None:
        """Write a checkpoint.

        Args:
            path: file to write.
            settings: settings that a resumed run must share (:func:`resume_settings`).
            random: :func:`random_state` of each process.

        Raises:
            CheckpointError: if the file cannot be written.
        """
        tensors = {"losses": self.losses[~self.losses.isnan()]}
        tensors |= _add_prefix("model", state_of(self.model))
        tensors |= _add_prefix("average", self.optimizer.average.averages)
        tensors |= _add_prefix("best", self.best.weights if self.best else {})
        for name, state in self.optimizer.state().items():
            tensors |= _add_prefix(f"optimizer.{name}", state)
        for rank, states in enumerate(random):
            tensors |= _add_prefix(f"random.{rank}", states)
        best = {"score": self.best.score, "epoch": self.best.epoch} if self.best else None
        counters = {key: getattr(self, name) for name, key in COUNTERS.items()}
        write_checkpoint(path, tensors, {"settings": settings, "best": best, **counters})

    def restore(self, path: Path, *, settings: Mapping[str, Any], rank: int) -> None:
        """Read a checkpoint, and set the state of this process's random number generators.

        Raises:
            CheckpointError: if the file cannot be read, or was written with other settings.
        """
        tensors, facts = read_checkpoint(path)
        try:
            check_settings(_current_settings(facts["settings"]), settings, path)
            self._load(tensors, facts)
            set_random_state(_with_prefix(f"random.{rank}", tensors), next(self.model.parameters()).device)
        except CheckpointError:
            raise
        except Exception as error:  # other content causes exceptions of many classes
            raise CheckpointError(f"{path}: not a checkpoint of a training run ({error!r}); {REMEDY}") from error

    def _load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        for name, key in COUNTERS.items():
            setattr(self, name, facts[key])
        load_state(self.model, _with_prefix("model", tensors))
        averages = _with_prefix("average", tensors)
        average = self.optimizer.average
        for name, weight in average.averages.items():
            weight.copy_(averages[name])
        average.step = self.step
        states = {name: _with_prefix(f"optimizer.{name}", tensors) for name in average.averages}
        self.optimizer.load({name: state for name, state in states.items() if state})
        if facts["best"] is not None:
            self.best = Best(tuple(facts["best"]["score"]), facts["best"]["epoch"], _with_prefix("best", tensors))
        self.clear_losses()
        self.losses[: len(tensors["losses"])] = tensors["losses"]


def resume_settings(model: nn.Module, config: TrainingConfig, *, n_processes: int) -> dict[str, Any]:
    """Return the settings that a run must share with the checkpoint it resumes from, by name."""
    settings = {f"training.{name}": value for name, value in asdict(config).items() if name != "checkpoint_seconds"}
    for name, default in (("class_weights", "none"), ("frozen_layers", 0), ("unfreeze_epochs", 0)):
        if getattr(config, name) == default:  # checkpoints of earlier versions do not have the key
            del settings[f"training.{name}"]
    settings["training.device"] = next(model.parameters()).device.type
    settings["the number of processes"] = n_processes
    if n_processes > 1 and settings["training.device"] == "cpu":  # earlier versions updated whole tables there
        settings["updates of embedding tables"] = "by rows"
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    for name, tensor in state_of(model).items():
        settings[name] = f"{tuple(tensor.shape)} {'trained' if name in trained else 'fixed'}"
    return settings


def _current_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the settings in a checkpoint of an earlier version to current names."""
    current = {current_name(name): value for name, value in settings.items()}
    if "training.compiled" in current:
        current["training.engine"] = "auto" if current.pop("training.compiled") else "torch"
    return current


def check_settings(saved: Mapping[str, Any], current: Mapping[str, Any], path: Path) -> None:
    """Check that a checkpoint was written with the current settings.

    Raises:
        CheckpointError: for the first setting that differs.
    """
    for name in [*current, *saved]:
        if saved.get(name) != current.get(name):
            raise CheckpointError(
                f"{path}: the checkpoint is from a run with other settings: {name} was {saved.get(name, 'missing')} "
                f"and is now {current.get(name, 'missing')}. Restore the setting, or delete the file to start again")


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of PyTorch's generators for the CPU and the device. *Shape:* ``(n,)`` each, uint8."""
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def set_random_state(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Restore the state from :func:`random_state`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Select the tensors whose name has a prefix, and remove it from their names."""
    return {name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items()
            if name.startswith(f"{prefix}.")}
