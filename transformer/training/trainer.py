"""The training loop, for any task: batches, loss and evaluation are given as functions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from transformer.errors import CheckpointError, TransformerError
from transformer.kernels.engine import describe_engines, modules_fixed, use
from transformer.kernels.precision import autocast, training_precision
from transformer.kernels.waiting import brief_on_a_busy_machine
from transformer.layers.dropout import shared_masks
from transformer.training.config import TrainingConfig
from transformer.training.distributed import World
from transformer.training.divergence import NonFiniteGuard
from transformer.training.freezing import Freezing
from transformer.training.optimizer import Optimizer
from transformer.training.process_memory import frozen_gc, retain_heap
from transformer.training.schedule import lr_factor, resolve_epochs
from transformer.training.state import Best, TrainingState, random_state, resume_settings

log = logging.getLogger("vecformer")


class Batch(Protocol):
    """Interface of a batch."""

    @property
    def n_tokens(self) -> int:
        """Number of tokens, without padding."""
        ...

    @property
    def n_targets(self) -> float:
        """Number or total weight of the predictions over which the loss is averaged; a batch with 0 is skipped."""
        ...

    @property
    def where(self) -> Sequence[str]:
        """File and line of each example, for error messages."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move the batch to a device."""
        ...


B = TypeVar("B", bound=Batch)
Watch = Callable[[int, bool], Mapping[str, float]]
"""Computes measures for the history, given the number of the epoch, and whether it is the last planned one."""


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation on the dev set.

    Attributes:
        measures: measures by name.
        score: score for early stopping; larger is better, and further entries break ties.
    """

    measures: Mapping[str, float]
    score: tuple[float, ...]


@dataclass(frozen=True)
class TrainingResult:
    """Summary of a training run.

    Attributes:
        history: one entry for each epoch.
        best_epoch: the epoch whose weights were kept.
        steps: number of optimizer steps.
        tokens: number of tokens trained on, in all epochs, without padding.
        seconds: time spent in training steps, without evaluation.
    """

    history: tuple[Mapping[str, float], ...]
    best_epoch: int
    steps: int
    tokens: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Trainer(Generic[B]):
    """Trains a model.

    After an interruption, even by a kill signal, a trainer with the same fields resumes from the checkpoint. The final
    weights and the history are the same as without the interruption, except for ``seconds``. This requires that the
    random numbers in ``loss`` come from PyTorch's global generators. The checkpoint is not deleted at the end.

    In a group of processes, each process has a part of every batch, and the gradient is that of the whole batch. All
    processes make the same steps and evaluate the model. Rank 0 reports progress and writes the checkpoint, which all
    processes must be able to read.

    Attributes:
        model: the model, trained in place. Afterwards it has the averaged weights of the best epoch, or of the last
            epoch without an evaluation.
        batches: returns the batches of an epoch, given its number from 1. The result must depend on the number alone,
            and every epoch must have the same number of batches. ``None`` stands for an empty part of a batch.
        loss: computes the mean loss over the targets of a batch. *Shape:* scalar.
        evaluate: evaluates the model on the dev set; called after each epoch, with averaged weights. ``None`` without
            a dev set.
        config: training settings.
        checkpoint: checkpoint file, written every ``config.checkpoint_seconds``, and resumed from if it exists;
            ``None`` for no checkpoints.
        world: the process group.
        watch: computes further measures for the history; called after each epoch, with averaged weights, the number of
            the epoch, and whether it is the last planned one. Has no effect on training.
        on_epoch: callback for each new entry of the history.
        progress: progress callback, called with the completed fraction of the epochs, 0 to 1.
        clock: context manager that measures the time of a stage (shuffling, batches, forward, backward, optimizer,
            evaluation), for profiling.
    """

    model: nn.Module
    batches: Callable[[int], Sequence[B | None]]
    loss: Callable[[nn.Module, B], Tensor]
    evaluate: Callable[[], Evaluation] | None
    config: TrainingConfig
    checkpoint: Path | None = None
    world: World = field(default_factory=World)
    watch: Watch | None = None
    on_epoch: Callable[[Mapping[str, float]], None] = lambda _entry: None
    progress: Callable[[str, float], None] = lambda _stage, _fraction: None
    clock: Callable[[str], AbstractContextManager[object]] = nullcontext

    def run(self) -> TrainingResult:
        """Train for all epochs, or until the dev score has not improved for ``config.patience`` epochs.

        Raises:
            DivergedError: if a loss or a gradient is not finite.
            CheckpointError: if the checkpoint is from a run with other settings, or cannot be read or written.
            TransformerError: if no batch of an epoch has a target.
        """
        with frozen_gc(), brief_on_a_busy_machine():
            return _Training(self).run()


class _Training(Generic[B]):
    """A single run of a trainer."""

    def __init__(self, trainer: Trainer[B]) -> None:
        self.trainer, self.config, self.world = trainer, trainer.config, trainer.world
        self.model = trainer.model
        self.device = next(self.model.parameters()).device
        self.world.broadcast(self.model.state_dict().values())  # all processes start from the weights of rank 0
        self.freezing = Freezing(self.model, self.config)
        self.settings = resume_settings(self.model, self.config, n_processes=self.world.size)
        self.optimizer = Optimizer(self.model, self.config)
        self.state = TrainingState(self.model, self.optimizer)
        self.precision = training_precision(self.model, self.config.precision)
        self.guard = NonFiniteGuard(replace(self.config, precision=self.precision), self.device, self.world)
        self.last_checkpoint = time.monotonic()

    def run(self) -> TrainingResult:
        retain_heap()
        self._resume()
        if self.world.rank == 0 and log.isEnabledFor(logging.INFO):
            for line in describe_training_engines(self.model, self.config):
                log.info("engine: %s", line)
        state = self.state
        try:
            while state.epoch <= self.n_epochs and not self._stopped_early():
                self.freezing.apply(state.epoch)
                self._epoch()
                (due,) = self.world.sum(self._is_checkpoint_due())
                self._checkpoint(due=bool(due))
        finally:
            self.freezing.release()
            self.optimizer.close()
        average = self.optimizer.average
        average.assign(state.best.weights if state.best else average.averages)
        self.model.eval()
        return TrainingResult(
            history=tuple(state.history), best_epoch=state.best.epoch if state.best else len(state.history),
            steps=state.step, tokens=state.tokens, seconds=state.seconds,
        )

    @property
    def n_epochs(self) -> int:
        """Planned number of epochs; valid once ``steps_per_epoch`` is known."""
        return resolve_epochs(self.config, self.state.steps_per_epoch)

    def _resume(self) -> None:
        """Restore the checkpoint if there is one."""
        path, rank = self.trainer.checkpoint, self.world.rank
        if path is not None and path.exists():
            self.state.restore(path, settings=self.settings, rank=rank)
        elif rank:
            torch.manual_seed(torch.initial_seed() + rank)  # different dropout masks in each process

    def _stopped_early(self) -> bool:
        best = self.state.best
        return best is not None and 0 < self.config.patience <= self.state.epoch - 1 - best.epoch

    def _epoch(self) -> None:
        """Train the rest of the current epoch, evaluate the model, and advance to the next epoch."""
        state, trainer = self.state, self.trainer
        with self._timed(), trainer.clock("shuffling"):
            batches = trainer.batches(state.epoch)
        self._set_steps_per_epoch(-(-len(batches) // self.config.accumulate))
        if not state.steps_in_epoch:
            state.clear_losses()
        self.model.train()
        with modules_fixed():
            self._steps(batches)
        with self._timed():
            self.guard.check()
            train_loss = self._mean_loss()
        entry = {"epoch": state.epoch, "step": state.step, "train_loss": train_loss,
                 "lr": self.config.lr * self._lr_factor(), "tokens": state.tokens,
                 "seconds": round(state.seconds, 3)}
        self.optimizer.flush()
        average = self.optimizer.average
        if trainer.evaluate is not None:
            with average.applied(), trainer.clock("evaluation"):
                evaluation = trainer.evaluate()
            if state.best is None or evaluation.score > state.best.score:
                weights = {name: weight.clone() for name, weight in average.averages.items()}
                state.best = Best(evaluation.score, state.epoch, weights)
            entry |= {f"dev_{name}": value for name, value in evaluation.measures.items()}
        if trainer.watch is not None:
            with average.applied():
                entry |= trainer.watch(state.epoch, state.epoch == self.n_epochs)
        state.history.append(entry)
        state.epoch, state.steps_in_epoch = state.epoch + 1, 0
        if self.world.rank == 0:
            trainer.on_epoch(entry)

    def _steps(self, batches: Sequence[B | None]) -> None:
        """Make the remaining steps of the current epoch, with checkpoints when they are due."""
        state, trainer = self.state, self.trainer
        for step in range(state.steps_in_epoch, state.steps_per_epoch):
            with self._timed():
                with trainer.clock("batches"):  # they may be made when they are read
                    group = batches[step * self.config.accumulate : (step + 1) * self.config.accumulate]
                    made = [batch for batch in group if batch is not None]
                checkpoint_due = self._step(made)
            if self.world.rank == 0:
                completed = (state.epoch - 1 + state.steps_in_epoch / state.steps_per_epoch) / self.n_epochs
                trainer.progress("training", completed)
            self._checkpoint(due=checkpoint_due)

    def _step(self, batches: Sequence[B]) -> bool:
        """Make one optimizer step for the mean loss over all targets of these batches, in all processes.

        Returns:
            Whether a checkpoint is due.
        """
        state, clock = self.state, self.trainer.clock
        n_targets = sum(batch.n_targets for batch in batches)
        self.optimizer.set_lr(self._lr_factor())
        self.optimizer.zero_grad()
        loss = torch.zeros((), device=self.device)  # mean over the targets of this process
        for batch in batches:
            if batch.n_targets:
                with clock("forward"), shared_masks(), use(self.config.engine), autocast(self.device, self.precision):
                    part = self.trainer.loss(self.model, batch.to(self.device)) * (batch.n_targets / n_targets)
                with clock("backward"):
                    part.backward()  # type: ignore[no-untyped-call]
                loss += part.detach()
        with clock("optimizer"):
            loss, (n_all_targets, n_tokens, due) = self.optimizer.average_gradients(
                self.world, loss, [n_targets, sum(batch.n_tokens for batch in batches), self._is_checkpoint_due()])
            norm = self.optimizer.clip()
            self.guard.add(f"epoch {state.epoch}, step {state.step + 1}", loss, norm,
                           [example for batch in batches for example in batch.where])
            self.optimizer.step()
        if n_all_targets:
            state.losses[state.steps_in_epoch] = loss
        state.tokens += int(n_tokens)
        state.steps_in_epoch += 1
        return bool(due)

    def _lr_factor(self) -> float:
        return lr_factor(self.state.step, self.config, self.state.steps_per_epoch * self.n_epochs)

    def _mean_loss(self) -> float:
        losses = self.state.losses[~self.state.losses.isnan()].tolist()
        if not losses:
            raise TransformerError(f"no batch of epoch {self.state.epoch} has a target to predict; "
                                   "add training examples")
        mean: float = sum(losses) / len(losses)
        return mean

    def _set_steps_per_epoch(self, n_steps: int) -> None:
        state = self.state
        if state.steps_per_epoch not in (0, n_steps):
            raise CheckpointError(f"{self.trainer.checkpoint}: epoch {state.epoch} has {n_steps} steps, but earlier "
                                  f"epochs had {state.steps_per_epoch}. Use the same training examples, or delete the "
                                  "file to start again")
        state.steps_per_epoch = n_steps

    def _is_checkpoint_due(self) -> bool:
        """Whether rank 0 wants a checkpoint, by its clock; False in other processes."""
        return (self.trainer.checkpoint is not None and self.world.rank == 0
                and time.monotonic() - self.last_checkpoint >= self.config.checkpoint_seconds)

    def _checkpoint(self, *, due: bool) -> None:
        """Write the checkpoint if it is due, as all processes must agree."""
        path = self.trainer.checkpoint
        if path is None or not due:
            return
        self.guard.check()
        random = self.world.gather(random_state(self.device))
        if self.world.rank == 0:
            self.state.save(path, settings=self.settings, random=random)
        self.last_checkpoint = time.monotonic()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.state.seconds += time.perf_counter() - start


def describe_training_engines(model: nn.Module, config: TrainingConfig) -> list[str]:
    """Describe the engine of each stack in training, and why faster ones are not used, as lines of text."""
    precision = training_precision(model, config.precision)
    with use(config.engine), autocast(next(model.parameters()).device, precision):
        return describe_engines(model)


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        TransformerError: if the name is a GPU and PyTorch finds none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise TransformerError(f"training.device={name}, but PyTorch finds no GPU; set training.device=auto")
    return torch.device(name)
