"""Stops a training whose loss is no number any more, and says where and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor

from transformer.config import TrainingConfig
from transformer.errors import DivergedError
from transformer.kernels.precision import choose_precision
from transformer.training.distributed import World

PLACES = 5      # examples named in the message
GPU_STEPS = 50  # looking at a number makes the host wait for the GPU, so there it is done this seldom


@dataclass
class NonFiniteGuard:
    """Looks at the loss and the gradient of every step: at once on a CPU, every 50 steps on a GPU.

    Attributes:
        config: what the message gives values of.
        device: where losses and gradients are.
        world: the processes that train together; all see the same numbers, each has its own examples.
    """

    config: TrainingConfig
    device: torch.device
    world: World
    _unseen: list[tuple[str, Tensor, Tensor, Sequence[str]]] = field(default_factory=list)

    def add(self, step: str, loss: Tensor, norm: Tensor, where: Sequence[str]) -> None:
        """Take in a step.

        Args:
            step: its name, for the message.
            loss: *Shape:* scalar.
            norm: the gradient's length. *Shape:* scalar.
            where: the places of its examples.

        Raises:
            DivergedError: if this or an earlier one is not finite.
        """
        self._unseen.append((step, loss, norm, where))
        if self.device.type == "cpu" or len(self._unseen) >= GPU_STEPS:
            self.check()

    def check(self) -> None:
        """Look at every step that was not looked at yet.

        Raises:
            DivergedError: for the first whose loss or gradient is not finite.
        """
        if not self._unseen:
            return
        numbers = torch.stack([torch.stack([loss, norm]) for _, loss, norm, _ in self._unseen])     # (n_steps, 2)
        finite = numbers.isfinite()
        if not finite.all():
            first = int(finite.all(dim=1).int().argmin())
            step, _, _, where = self._unseen[first]
            loss, norm = numbers[first].tolist()
            what = f"the gradient became {norm}" if finite[first, 0] else f"the loss became {loss}"
            raise DivergedError(f"{what} in {step}, on {_named(self.world.gather(list(where)))}: try {self._advice()}")
        self._unseen.clear()

    def _advice(self) -> str:
        config = self.config
        advice = [f"a smaller training.lr (now {config.lr:g})", f"a longer training.warmup (now {config.warmup:g})",
                  f"a smaller training.clip (now {config.clip:g})", "embedding.scale=unit"]
        if choose_precision(self.device, config.precision) == "bfloat16":
            advice.append("training.precision=float32")
        return ", ".join(advice[:-1]) + f", or {advice[-1]}"


def _named(where: Sequence[Sequence[str]]) -> str:
    """The first few places of all processes."""
    places = list(chain.from_iterable(where))
    more = len(places) - PLACES
    return ", ".join(places[:PLACES]) + (f" and {more} more" if more > 0 else "")
