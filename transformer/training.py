"""The one training loop. It knows batches, a loss and an evaluation; what they are of is the task's business."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from transformer.averaging import WeightAverage
from transformer.config import TrainingConfig
from transformer.errors import DivergedError, TransformerError
from transformer.optimization import make_optimizer, make_schedule


class Batch(Protocol):
    """What the loop has to know of a batch."""

    @property
    def n_tokens(self) -> int:
        """Real tokens, padding not counted."""
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

    Attributes:
        model: trained in place; afterwards it has the averaged weights of the best epoch (of the last, without an
            evaluation).
        batches: the batches of an epoch, given its number from 1; equally many in every epoch.
        loss: of a model on a batch. *Shape:* scalar.
        evaluate: the model, which then has its averaged weights, on dev, after each epoch; ``None`` if there is no dev
            set.
        config: how to train.
        on_epoch: told each line of the history as it is made.
        progress: told the share of the epochs that is done, 0 to 1.
    """

    model: nn.Module
    batches: Callable[[int], Sequence[B]]
    loss: Callable[[nn.Module, B], Tensor]
    evaluate: Callable[[], Evaluation] | None
    config: TrainingConfig
    on_epoch: Callable[[Mapping[str, float]], None] = lambda _line: None
    progress: Callable[[str, float], None] = lambda _what, _share: None

    def run(self) -> TrainingResult:
        """Train until the epochs are over or dev has not improved for ``config.patience`` of them.

        Raises:
            DivergedError: if a loss is not finite.
        """
        device = next(self.model.parameters()).device
        history: list[Mapping[str, float]] = []
        best: tuple[tuple[float, ...], int, dict[str, Tensor]] | None = None
        n_tokens, seconds = 0, 0.0
        optimizer, average = make_optimizer(self.model, self.config), WeightAverage(self.model, self.config.ema)
        schedule = None
        for epoch in range(1, self.config.epochs + 1):
            batches = self.batches(epoch)
            if schedule is None:
                schedule = make_schedule(optimizer, self.config, len(batches) * self.config.epochs)
            start = time.perf_counter()
            self.model.train()
            losses = []
            for i, batch in enumerate(batches):
                losses.append(self._step(batch.to(device), optimizer, epoch))
                schedule.step()
                average.update()
                n_tokens += batch.n_tokens
                self.progress("training", (epoch - 1 + (i + 1) / len(batches)) / self.config.epochs)
            seconds += time.perf_counter() - start
            line = {"epoch": epoch, "step": epoch * len(batches), "train_loss": sum(losses) / len(losses),
                    "lr": optimizer.param_groups[0]["lr"], "tokens": n_tokens, "seconds": round(seconds, 3)}
            if self.evaluate is not None:
                with average.in_use():
                    evaluation = self.evaluate()
                    if best is None or evaluation.score > best[0]:
                        best = (evaluation.score, epoch, copy.deepcopy(self.model.state_dict()))
                line |= {f"dev_{name}": value for name, value in evaluation.measures.items()}
            history.append(line)
            self.on_epoch(line)
            if best is not None and 0 < self.config.patience <= epoch - best[1]:
                break
        if best is None:
            average.apply()
        else:
            self.model.load_state_dict(best[2])
        self.model.eval()
        return TrainingResult(
            history=tuple(history), best_epoch=best[1] if best else len(history), steps=int(history[-1]["step"]),
            tokens=n_tokens, seconds=seconds,
        )

    def _step(self, batch: B, optimizer: torch.optim.Optimizer, epoch: int) -> float:
        loss = self.loss(self.model, batch)
        value = loss.item()
        if not torch.isfinite(loss):
            raise DivergedError(
                f"the loss became {value} in epoch {epoch}: try a smaller training.lr (now {self.config.lr:g}), a "
                "longer training.warmup, or embedding.scale=unit"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        optimizer.step()
        return value


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
