"""Where the time of a run goes, and how near its training comes to what the machine can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from transformer.kernels.precision import choose_precision

PARTS = ("starting", "reading", "tokenising", "vectors", "pretraining", "batches", "forward", "backward", "optimizer",
         "evaluation", "baselines", "writing")
REST = "the rest"
STEP = ("forward", "backward", "optimizer")
TRAINING = ("batches", *STEP)
SAMPLED = 4  # the batches of steps 1, 4, 16, 64, … are kept to count operations with

Loss = Callable[[nn.Module, Any], Tensor]


class Clock:
    """Tells which part the time goes to: every second to one of them, the innermost that is under way.

    On a GPU it waits at each change of part until the work is done, so that a part has the time of what it started.

    Args:
        running: if not, it measures nothing, keeps nothing, and costs a run nothing worth noting.
        since: the part "starting" began then (of ``time.perf_counter``) and ends now; by default it took no time.

    Attributes:
        seconds: by part, in the order of :data:`PARTS`, then what no part had; up to the last change of part.
        tokens: real tokens that training took in, in this process.
        samples: batches of it.
        model: what was trained on them, and ``loss`` what of.
    """

    model: nn.Module
    loss: Loss

    def __init__(self, *, running: bool = True, since: float | None = None) -> None:
        self.running = running
        self.seconds = dict.fromkeys((*PARTS, REST), 0.0)
        self.tokens, self.samples = 0, list[Any]()
        self._nothing = nullcontext()
        self._now = time.perf_counter()
        self._under_way = [REST]
        if since is not None:
            self.seconds["starting"] = self._now - since

    def __call__(self, part: str) -> AbstractContextManager[object]:
        """Count the time of the block, but for that of parts within it, as that of a part.

        Raises:
            ValueError: if there is no such part.
        """
        if not self.running:
            return self._nothing
        if part not in PARTS:
            raise ValueError(f"no part of a run is called {part!r}; there are {', '.join(PARTS)}")
        return self._within(part)

    @contextmanager
    def _within(self, part: str) -> Iterator[None]:
        self.tick()
        self._under_way.append(part)
        try:
            yield
        finally:
            self.tick()
            self._under_way.pop()

    def tick(self) -> None:
        """Count the time since the last change of part."""
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[self._under_way[-1]] += now - self._now
        self._now = now

    def watching(self, loss: Loss) -> Loss:
        """The same loss; the tokens it is taken of are counted, and a few batches kept."""
        if not self.running:
            return loss
        self.loss, n_batches, due = loss, 0, 1

        def watched(model: nn.Module, batch: Any) -> Tensor:
            nonlocal n_batches, due
            n_batches += 1
            self.tokens += batch.n_tokens
            if n_batches == due:
                self.model = model
                self.samples.append(batch)
                due *= SAMPLED
            return loss(model, batch)

        return watched


STOPPED = Clock(running=False)


@dataclass(frozen=True)
class Profile:
    """What a clock found of a finished run.

    It is no file of the run: a run's folder is whole before its last second is counted, and is not touched after.

    Attributes:
        seconds: by part, in their order; parts that the run did not have are left out. Their sum is the whole.
        tokens: real tokens that were trained on, in this process; if none, all that follows is 0.
        tokens_per_second: of training, the making of its batches counted.
        operations_per_second: of training's matrix products, while it went forward, backward or took a step.
        peak: operations a second of the best matrix product, measured just now in the precision of training.
        precision: its name.
    """

    seconds: Mapping[str, float]
    tokens: int = 0
    tokens_per_second: float = 0.0
    operations_per_second: float = 0.0
    peak: float = 0.0
    precision: str = ""

    @property
    def whole(self) -> float:
        """Seconds of all parts."""
        return sum(self.seconds.values())

    @property
    def share_of_peak(self) -> float:
        """Of the matrix-product peak, what training reached; 0 to 1."""
        return self.operations_per_second / self.peak if self.peak else 0.0


def take_profile(clock: Clock, precision: str) -> Profile:
    """Read a clock, count the operations of the training that it saw, and measure the machine's peak beside them.

    Args:
        clock: of a run that has ended.
        precision: ``training.precision`` of its configuration.
    """
    from transformer.training.flops import (  # and torch's counter, which few runs need
        matrix_product_peak,
        training_operations,
    )

    clock.tick()
    seconds = {part: spent for part, spent in clock.seconds.items() if spent or part == REST}
    if not clock.tokens:  # a run that was stopped when its training was over
        return Profile(seconds)
    device = next(clock.model.parameters()).device
    chosen = choose_precision(device, precision)
    n_operations = clock.tokens * training_operations(clock.model, clock.loss, clock.samples)
    return Profile(
        seconds, clock.tokens,
        tokens_per_second=clock.tokens / sum(clock.seconds[part] for part in TRAINING),
        operations_per_second=n_operations / sum(clock.seconds[part] for part in STEP),
        peak=matrix_product_peak(device, getattr(torch, chosen)), precision=chosen,
    )
