"""Detection of losses and gradients that are not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor

from transformer.errors import DivergedError
from transformer.training.config import TrainingConfig
from transformer.training.distributed import World

MAX_EXAMPLES = 5  # examples listed in the error message
GPU_STEPS = 50    # steps per check on a GPU, since reading a value synchronises with the device


@dataclass
class NonFiniteGuard:
    """Raises an error if a loss or gradient norm is not finite; checks every step on a CPU, every 50 steps on a GPU.

    Attributes:
        config: settings that the error message mentions, with the precision that is used.
        device: device of losses and gradients.
        world: the process group; losses and norms are the same in all processes, examples differ.
    """

    config: TrainingConfig
    device: torch.device
    world: World
    _pending: list[tuple[str, Tensor, Tensor, Sequence[str]]] = field(default_factory=list)

    def add(self, step: str, loss: Tensor, norm: Tensor, where: Sequence[str]) -> None:
        """Add a step, and check the pending ones when it is time.

        Args:
            step: description of the step for the error message.
            loss: *Shape:* scalar.
            norm: norm of the gradient. *Shape:* scalar.
            where: file and line of each example of this process.

        Raises:
            DivergedError: if a value of this step or of an earlier one is not finite.
        """
        self._pending.append((step, loss, norm, where))
        if self.device.type == "cpu" or len(self._pending) >= GPU_STEPS:
            self.check()

    def check(self) -> None:
        """Check all pending steps.

        Raises:
            DivergedError: for the first step whose loss or gradient norm is not finite.
        """
        if not self._pending:
            return
        values = [value for _, loss, norm, _ in self._pending for value in (loss, norm)]
        on_cpu = self.device.type == "cpu"  # there, reading the values one by one is faster than stacking them
        numbers = iter([value.item() for value in values] if on_cpu else torch.stack(values).tolist())
        for (step, _, _, where), loss, norm in zip(self._pending, numbers, numbers, strict=True):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                what = f"the gradient became {norm}" if math.isfinite(loss) else f"the loss became {loss}"
                examples = _first_examples(self.world.gather(list(where)))
                raise DivergedError(f"{what} in {step}, on {examples}: try {self._advice()}")
        self._pending.clear()

    def _advice(self) -> str:
        config = self.config
        advice = [f"a smaller training.lr (now {config.lr:g})", f"a longer training.warmup (now {config.warmup:g})",
                  f"a smaller training.clip (now {config.clip:g})", "embedding.scale=unit"]
        if config.precision == "bfloat16":
            advice.append("training.precision=float32")
        return ", ".join(advice[:-1]) + f", or {advice[-1]}"


def _first_examples(where: Sequence[Sequence[str]]) -> str:
    """List the first few examples of all processes."""
    examples = list(chain.from_iterable(where))
    more = len(examples) - MAX_EXAMPLES
    return ", ".join(examples[:MAX_EXAMPLES]) + (f" and {more} more" if more > 0 else "")
