"""Profile of a run: time by part, training speed, and its share of the peak of matrix products."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from transformer.kernels.precision import training_precision
from transformer.training.config import TrainingConfig

PARTS = ("starting", "reading", "tokenising", "vectors", "self-training", "ngrams", "pretraining", "shuffling",
         "batches", "forward", "backward", "optimizer", "evaluation", "baselines", "writing")
REST = "the rest"
STEP = ("forward", "backward", "optimizer")
TRAINING = ("shuffling", "batches", *STEP)
SAMPLE_GROWTH = 4  # the batches of steps 1, 4, 16, 64, ... are kept to count floating-point operations

Loss = Callable[[nn.Module, Any], Tensor]


class Clock:
    """Attributes the time of a run to its parts: every second to the innermost active part.

    On a GPU it synchronises at each change of part, so that a part includes the kernels that it launched.

    Args:
        running: if False, nothing is measured or kept, at negligible cost.
        since: start of the part ``starting`` (a value of ``time.perf_counter``), which ends now.

    Attributes:
        seconds: time by part, in the order of :data:`PARTS`, then the unattributed rest; up to the last change of part.
        tokens: number of tokens trained on in this process, without padding.
        samples: a few of the training batches.
        model: the trained model.
        loss: its loss function.
    """

    model: nn.Module
    loss: Loss

    def __init__(self, *, running: bool = True, since: float | None = None) -> None:
        self.running = running
        self.seconds = dict.fromkeys((*PARTS, REST), 0.0)
        self.tokens, self.samples = 0, list[Any]()
        self._nothing = nullcontext()
        self._now = time.perf_counter()
        self._active = [REST]
        if since is not None:
            self.seconds["starting"] = self._now - since

    def __call__(self, part: str) -> AbstractContextManager[object]:
        """Attribute the time of the block to a part, except for that of nested parts.

        Raises:
            ValueError: if the part is unknown.
        """
        if not self.running:
            return self._nothing
        if part not in PARTS:
            raise ValueError(f"unknown part {part!r}; parts: {', '.join(PARTS)}")
        return self._within(part)

    @contextmanager
    def _within(self, part: str) -> Iterator[None]:
        self.tick()
        self._active.append(part)
        try:
            yield
        finally:
            self.tick()
            self._active.pop()

    def tick(self) -> None:
        """Attribute the time since the last change of part to the active part."""
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[self._active[-1]] += now - self._now
        self._now = now

    def observe(self, loss: Loss) -> Loss:
        """Wrap a loss function to count its tokens and keep a few of its batches."""
        if not self.running:
            return loss
        self.loss, n_batches, due = loss, 0, 1

        def observed(model: nn.Module, batch: Any) -> Tensor:
            nonlocal n_batches, due
            n_batches += 1
            self.tokens += batch.n_tokens
            if n_batches == due:
                self.model = model
                self.samples.append(batch)
                due *= SAMPLE_GROWTH
            return loss(model, batch)

        return observed


STOPPED = Clock(running=False)


@dataclass(frozen=True)
class Profile:
    """Profile of a finished run; printed, not stored in the run's folder.

    Attributes:
        seconds: time by part, in order, without parts that did not occur. They add up to the whole run.
        tokens: number of tokens trained on in this process, without padding; the following are 0 if there are none.
        tokens_per_second: of training, including the preparation of batches.
        operations_per_second: of the matrix products in training, during forward, backward and optimizer steps.
        peak: operations per second of the fastest matrix product, measured in the training precision.
        precision: name of the training precision.
        engines: the engine of each stack, and the reasons against faster ones, as lines.
    """

    seconds: Mapping[str, float]
    tokens: int = 0
    tokens_per_second: float = 0.0
    operations_per_second: float = 0.0
    peak: float = 0.0
    precision: str = ""
    engines: tuple[str, ...] = ()

    @property
    def whole(self) -> float:
        """Total time in seconds."""
        return sum(self.seconds.values())

    @property
    def share_of_peak(self) -> float:
        """Operations per second of training as a share of the peak, 0 to 1."""
        return self.operations_per_second / self.peak if self.peak else 0.0


def take_profile(clock: Clock, config: TrainingConfig) -> Profile:
    """Compute the profile of a finished run, measuring the machine's peak.

    Args:
        clock: of the run.
        config: how the model was trained.
    """
    from transformer.training.flops import matrix_product_peak, training_operations  # slow import, rarely needed
    from transformer.training.trainer import describe_training_engines

    clock.tick()
    seconds = {part: spent for part, spent in clock.seconds.items() if spent or part == REST}
    if not clock.tokens:  # resumed after the end of training
        return Profile(seconds)
    device = next(clock.model.parameters()).device
    chosen = training_precision(clock.model, config.precision)
    n_operations = clock.tokens * training_operations(clock.model, clock.loss, clock.samples)
    return Profile(
        seconds, clock.tokens,
        tokens_per_second=clock.tokens / sum(clock.seconds[part] for part in TRAINING),
        operations_per_second=n_operations / sum(clock.seconds[part] for part in STEP),
        peak=matrix_product_peak(device, getattr(torch, chosen)), precision=chosen,
        engines=tuple(describe_training_engines(clock.model, config)),
    )
