"""Everything that a training has become so far, to a file and back, so that it can go on as if never stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transformer.checkpoint import current_name, load_state, read_checkpoint, state_of, write_checkpoint
from transformer.config import TrainingConfig
from transformer.errors import CheckpointError
from transformer.training.optimizer import Optimizer

COUNTS = ("epoch", "done", "steps_per_epoch", "tokens", "seconds", "history")


@dataclass(frozen=True)
class Best:
    """The epoch with the best evaluation.

    Attributes:
        score: of the evaluation.
        epoch: from 1.
        weights: averaged weights, by name.
    """

    score: tuple[float, ...]
    epoch: int
    weights: Mapping[str, Tensor]


@dataclass
class TrainingState:
    """A training under way.

    Attributes:
        model: with the weights of the last step.
        updates: with the optimizer's moments and the moving average of the weights.
        epoch: the one under way, from 1.
        done: optimizer steps made in it.
        steps_per_epoch: 0 before the first epoch.
        tokens: trained on so far.
        seconds: in training steps so far.
        losses: of the epoch's steps, on the model's device. *Shape:* scalars.
        history: a line a finished epoch.
        best: the best of those.
    """

    model: nn.Module
    updates: Optimizer
    epoch: int = 1
    done: int = 0
    steps_per_epoch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[Tensor] = field(default_factory=list)
    history: list[Mapping[str, Any]] = field(default_factory=list)
    best: Best | None = None

    @property
    def step(self) -> int:
        """Optimizer steps made since the beginning."""
        return (self.epoch - 1) * self.steps_per_epoch + self.done

    def save(self, path: Path, *, settings: Mapping[str, Any], random: Sequence[Mapping[str, Tensor]]) -> None:
        """Write all of it.

        Args:
            path: the file.
            settings: what must be the same when the training goes on (:func:`settings_of`).
            random: :func:`random_state` of each process.

        Raises:
            CheckpointError: if it cannot be written.
        """
        tensors = {"losses": torch.stack(self.losses) if self.losses else torch.zeros(0)}
        tensors |= _prefixed("model", state_of(self.model))
        tensors |= _prefixed("average", self.updates.average.averages)
        tensors |= _prefixed("best", self.best.weights if self.best else {})
        for name, state in self.updates.state().items():
            tensors |= _prefixed(f"optimizer.{name}", state)
        for rank, states in enumerate(random):
            tensors |= _prefixed(f"random.{rank}", states)
        best = {"score": self.best.score, "epoch": self.best.epoch} if self.best else None
        counts = {name: getattr(self, name) for name in COUNTS}
        write_checkpoint(path, tensors, {"settings": settings, "best": best, **counts})

    def restore(self, path: Path, *, settings: Mapping[str, Any], rank: int) -> None:
        """Take over what :meth:`save` wrote, the state of this process's random numbers included.

        Raises:
            CheckpointError: if it cannot be read, or was made with other settings.
        """
        tensors, facts = read_checkpoint(path)
        try:
            check_settings(_current(facts["settings"]), settings, path)
            self._take(tensors, facts)
            set_random_state(_under(f"random.{rank}", tensors), next(self.model.parameters()).device)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"{path}: not a training's checkpoint ({error!r}); delete it to start anew"
                                  ) from error

    def _take(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        for name in COUNTS:
            setattr(self, name, facts[name])
        load_state(self.model, _under("model", tensors))
        averages = _under("average", tensors)
        average = self.updates.average
        for name, weight in average.averages.items():
            weight.copy_(averages[name])
        average.step = self.step
        moments = {name: _under(f"optimizer.{name}", tensors) for name in average.averages}
        self.updates.load({name: state for name, state in moments.items() if state})
        if facts["best"] is not None:
            self.best = Best(tuple(facts["best"]["score"]), facts["best"]["epoch"], _under("best", tensors))
        self.losses = list(tensors["losses"].to(next(self.model.parameters()).device).unbind())


def settings_of(model: nn.Module, config: TrainingConfig, *, n_processes: int) -> dict[str, str | int | float]:
    """What a training must have in common with the checkpoint that it goes on from, by name."""
    settings = {f"training.{name}": value for name, value in asdict(config).items() if name != "checkpoint_seconds"}
    settings["training.device"] = next(model.parameters()).device.type
    settings["the number of processes"] = n_processes
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    for name, tensor in state_of(model).items():
        settings[name] = f"{tuple(tensor.shape)} {'trained' if name in trained else 'fixed'}"
    return settings


def _current(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the settings in a checkpoint of an earlier version to today's names."""
    renamed = {current_name(name): value for name, value in settings.items()}
    if "training.compiled" in renamed:
        renamed["training.engine"] = "auto" if renamed.pop("training.compiled") else "torch"
    return renamed


def check_settings(then: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Refuse a checkpoint of another training.

    Raises:
        CheckpointError: with the first difference.
    """
    for name in [*now, *then]:
        if then.get(name) != now.get(name):
            raise CheckpointError(
                f"{path}: this checkpoint is of another training: {name} was {then.get(name, 'missing')} and is "
                f"{now.get(name, 'missing')}. Go on with what it was made with, or delete it to start anew"
            )


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's random numbers, on the CPU and on the model's device. *Shape:* ``(n,)`` each, uint8."""
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def set_random_state(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Go on with the random numbers from a state."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a prefix, without it."""
    return {name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items()
            if name.startswith(f"{prefix}.")}
