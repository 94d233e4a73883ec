"""The one training loop. It knows batches, a loss and an evaluation; what they are of is the task's business."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from transformer.checkpoint import sweep
from transformer.config import TrainingConfig
from transformer.errors import CheckpointError, TransformerError
from transformer.kernels.engine import describe_engines, use
from transformer.kernels.precision import autocast
from transformer.layers.dropout import shared_masks
from transformer.training.distributed import World
from transformer.training.divergence import NonFiniteGuard
from transformer.training.optimizer import Optimizer
from transformer.training.process_memory import frozen_gc, retain_heap
from transformer.training.schedule import n_epochs, share_of_rate, trained_tables
from transformer.training.state import Best, TrainingState, random_state, settings_of

log = logging.getLogger("vecformer")


class Batch(Protocol):
    """What the loop has to know of a batch."""

    @property
    def n_tokens(self) -> int:
        """Real tokens, padding not counted."""
        ...

    @property
    def n_targets(self) -> int:
        """How many things are predicted: the loss is the mean over them. A batch of none is passed over."""
        ...

    @property
    def where(self) -> Sequence[str]:
        """The examples' places, for messages."""
        ...

    def to(self, device: torch.device) -> Any:
        """The same batch on a device."""
        ...


B = TypeVar("B", bound=Batch)


@dataclass(frozen=True)
class Evaluation:
    """How good a model is now.

    Attributes:
        measures: by name.
        score: what early stopping compares; the larger is the better, further entries break ties.
    """

    measures: Mapping[str, float]
    score: tuple[float, ...]


@dataclass(frozen=True)
class TrainingResult:
    """What training took, and what it saw on the way.

    Attributes:
        history: a line an epoch.
        best_epoch: the epoch whose weights were kept.
        steps: optimizer steps taken.
        tokens: real tokens trained on, repeats counted.
        seconds: time in training steps, evaluation not counted.
    """

    history: tuple[Mapping[str, float], ...]
    best_epoch: int
    steps: int
    tokens: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Trainer(Generic[B]):
    """Trains a model.

    A training that is stopped, even killed, goes on from its checkpoint when a trainer with the same fields runs again,
    and ends in the same weights and history, ``seconds`` excepted. Random numbers of ``loss`` come from torch's own
    generators for that. The checkpoint is not deleted at the end.

    With several processes, each has its share of every batch; the gradient is that of the whole batch, every process
    takes the same step and evaluates, and the first one reports and writes the checkpoint, which all must be able to
    read.

    Attributes:
        model: trained in place; afterwards it has the averaged weights of the best epoch (of the last, without an
            evaluation).
        batches: the batches of an epoch, given its number from 1, and nothing but that number decides what they are;
            equally many in every epoch. ``None`` is an empty share.
        loss: of a model on a batch: the mean over its targets. *Shape:* scalar.
        evaluate: the model, which then has its averaged weights, on dev, after each epoch; ``None`` if there is no dev
            set.
        config: how to train.
        checkpoint: the file to write every ``config.checkpoint_seconds`` and to go on from if it is there; ``None`` for
            none.
        world: the processes that train together.
        watch: given the number of an epoch that has ended and whether it is the last by plan, measures what it likes of
            the model, which then has its averaged weights; only the history holds what it finds.
        on_epoch: told each line of the history as it is made.
        progress: told the share of the epochs that is done, 0 to 1.
        clock: told what a block does (batches, forward, backward, optimizer, evaluation), for a profile.
    """

    model: nn.Module
    batches: Callable[[int], Sequence[B | None]]
    loss: Callable[[nn.Module, B], Tensor]
    evaluate: Callable[[], Evaluation] | None
    config: TrainingConfig
    checkpoint: Path | None = None
    world: World = field(default_factory=World)
    watch: Callable[[int, bool], Mapping[str, float]] | None = None
    on_epoch: Callable[[Mapping[str, float]], None] = lambda _line: None
    progress: Callable[[str, float], None] = lambda _what, _share: None
    clock: Callable[[str], AbstractContextManager[object]] = nullcontext

    def run(self) -> TrainingResult:
        """Train until the epochs are over or dev has not improved for ``config.patience`` of them.

        Raises:
            DivergedError: if a loss or a gradient is not finite.
            CheckpointError: if the checkpoint is of another training, or cannot be read or written.
            TransformerError: if no batch of an epoch has a target.
        """
        with frozen_gc():
            return _Training(self).run()


class _Training(Generic[B]):
    """One run of a trainer."""

    def __init__(self, trainer: Trainer[B]) -> None:
        self.trainer, self.config, self.world = trainer, trainer.config, trainer.world
        self.model = trainer.model
        self.device = next(self.model.parameters()).device
        self.world.broadcast(self.model.state_dict().values())  # all start from the first one's weights
        self.weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.tables = trained_tables(self.model)
        self.settings = settings_of(self.model, self.config, n_processes=self.world.size)
        self.updates = Optimizer(self.model, self.config, alone=self.world.size == 1)
        self.state = TrainingState(self.model, self.updates)
        self.watch = NonFiniteGuard(self.config, self.device, self.world)
        self.written = time.monotonic()

    def run(self) -> TrainingResult:
        retain_heap()
        self._begin()
        if self.world.rank == 0 and log.isEnabledFor(logging.INFO):
            for line in describe_training_engines(self.model, self.config):
                log.info("engine: %s", line)
        state = self.state
        try:
            while state.epoch <= self.n_epochs and not self._stopped_early():
                for table in self.tables:
                    table.requires_grad_(state.epoch > self.config.freeze_epochs)
                self._epoch()
                self._checkpoint()
        finally:
            for table in self.tables:
                table.requires_grad_(True)
            self.updates.close()
        average = self.updates.average
        average.assign(state.best.weights if state.best else average.averages)
        self.model.eval()
        return TrainingResult(
            history=tuple(state.history), best_epoch=state.best.epoch if state.best else len(state.history),
            steps=state.step, tokens=state.tokens, seconds=state.seconds,
        )

    @property
    def n_epochs(self) -> int:
        """By plan; of use once an epoch has begun, which tells its number of steps."""
        return n_epochs(self.config, self.state.steps_per_epoch)

    def _begin(self) -> None:
        """Go on from the checkpoint if there is one."""
        path, rank = self.trainer.checkpoint, self.world.rank
        if path is not None and path.exists():
            self.state.restore(path, settings=self.settings, rank=rank)
        elif rank:
            torch.manual_seed(torch.initial_seed() + rank)  # each drops activations of its own
        if path is not None and not rank:
            sweep(path)

    def _stopped_early(self) -> bool:
        best = self.state.best
        return best is not None and 0 < self.config.patience <= self.state.epoch - 1 - best.epoch

    def _epoch(self) -> None:
        """Train what is left of the epoch under way, evaluate, and begin the next."""
        state, trainer = self.state, self.trainer
        with self._timed(), trainer.clock("batches"):
            batches = trainer.batches(state.epoch)
        self._check_length(-(-len(batches) // self.config.accumulate))
        self.model.train()
        for group in islice(_groups(batches, self.config.accumulate), state.done, None):
            with self._timed():
                self._step([batch for batch in group if batch is not None])
            if self.world.rank == 0:
                share = (state.epoch - 1 + state.done / state.steps_per_epoch) / self.n_epochs
                trainer.progress("training", share)
            self._checkpoint()
        with self._timed():
            self.watch.check()
            train_loss = self._mean_loss()
        line = {"epoch": state.epoch, "step": state.step, "train_loss": train_loss,
                "lr": self.config.lr * self._share_of_rate(), "tokens": state.tokens,
                "seconds": round(state.seconds, 3)}
        self.updates.flush()
        average = self.updates.average
        if trainer.evaluate is not None:
            with average.in_use(), trainer.clock("evaluation"):
                evaluation = trainer.evaluate()
            if state.best is None or evaluation.score > state.best.score:
                weights = {name: weight.clone() for name, weight in average.averages.items()}
                state.best = Best(evaluation.score, state.epoch, weights)
            line |= {f"dev_{name}": value for name, value in evaluation.measures.items()}
        if trainer.watch is not None:
            with average.in_use():
                line |= trainer.watch(state.epoch, state.epoch == self.n_epochs)
        state.history.append(line)
        state.epoch, state.done, state.losses = state.epoch + 1, 0, []
        if self.world.rank == 0:
            trainer.on_epoch(line)

    def _step(self, batches: Sequence[B]) -> None:
        """One optimizer step, down the gradient of the mean over all targets of these batches, in every process."""
        state, clock = self.state, self.trainer.clock
        n_targets, n_tokens = self.world.sum(sum(batch.n_targets for batch in batches),
                                             sum(batch.n_tokens for batch in batches))
        self.updates.set_rates(self._share_of_rate())
        self.updates.clear()
        loss = torch.zeros((), device=self.device)
        for batch in batches:
            if batch.n_targets:
                with clock("forward"), shared_masks(), use(self.config.engine), autocast(
                        self.device, self.config.precision):
                    part = self.trainer.loss(self.model, batch.to(self.device)) * (batch.n_targets / n_targets)
                with clock("backward"):
                    part.backward()  # type: ignore[no-untyped-call]
                loss += part.detach()
        with clock("optimizer"):
            loss = self.world.sum_gradients([weight for weight in self.weights if weight.requires_grad], loss)
            norm = self.updates.clip()
            self.watch.add(f"epoch {state.epoch}, step {state.step + 1}", loss, norm,
                           [place for batch in batches for place in batch.where])
            self.updates.step()
        if n_targets:
            state.losses.append(loss)
        state.tokens += int(n_tokens)
        state.done += 1

    def _share_of_rate(self) -> float:
        return share_of_rate(self.state.step, self.config, self.state.steps_per_epoch * self.n_epochs)

    def _mean_loss(self) -> float:
        losses = torch.stack(self.state.losses).tolist() if self.state.losses else []
        if not losses:
            raise TransformerError(f"no batch of epoch {self.state.epoch} has anything to predict; give it more "
                                   "training examples")
        mean: float = sum(losses) / len(losses)
        return mean

    def _check_length(self, n_steps: int) -> None:
        state = self.state
        if state.steps_per_epoch not in (0, n_steps):
            raise CheckpointError(f"{self.trainer.checkpoint}: epoch {state.epoch} has {n_steps} steps, and those "
                                  f"before it had {state.steps_per_epoch}. Go on with the same training examples, or "
                                  "delete the checkpoint to start anew")
        state.steps_per_epoch = n_steps

    def _checkpoint(self) -> None:
        """Write the checkpoint, if there is one and the first process finds that it is time."""
        path, first = self.trainer.checkpoint, self.world.rank == 0
        if path is None:
            return
        (due,) = self.world.sum(first and time.monotonic() - self.written >= self.config.checkpoint_seconds)
        if not due:
            return
        self.watch.check()
        random = self.world.gather(random_state(self.device))
        if first:
            self.state.save(path, settings=self.settings, random=random)
        self.written = time.monotonic()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.state.seconds += time.perf_counter() - start


def _groups(batches: Sequence[B | None], size: int) -> Iterator[list[B | None]]:
    """Batches in lists of a size; the last list may be shorter."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group


def describe_training_engines(model: nn.Module, config: TrainingConfig) -> list[str]:
    """Describe the engine of each stack in training, and why faster ones are not used, in lines for people."""
    with use(config.engine), autocast(next(model.parameters()).device, config.precision):
        return describe_engines(model)


def choose_device(name: str) -> torch.device:
    """The device that ``auto``, ``cpu`` or ``cuda`` means on this machine.

    Raises:
        TransformerError: if a GPU is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise TransformerError(f"training.device={name}, but torch finds no GPU here; set training.device=auto")
    return torch.device(name)
