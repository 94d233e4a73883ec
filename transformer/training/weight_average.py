"""Exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

WARMUP = 9  # steps; the decay is smaller in early steps, so that the initial weights soon have little influence


class WeightAverage:
    """Exponential moving average of the trained weights (Polyak & Juditsky 1992).

    The decay in step ``t`` (from 1) is ``min(decay, t / (t + 9))``. ``torch.optim.swa_utils`` also averages weights,
    but copies all buffers, and the buffers of this model grow with its texts.

    Args:
        model: the model; its weights that require a gradient are averaged.
        decay: maximum decay, 0 to below 1; with 0 the average equals the last weights.

    Attributes:
        step: number of steps.
        averages: the averages by parameter name.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.step = 0
        self.averages = {name: weight.detach().clone() for name, weight in self._weights.items()}

    def advance(self) -> float:
        """Count a step, and return its decay; the optimizers update the averages of their weights."""
        self.step += 1
        return min(self.decay, self.step / (self.step + WARMUP))

    def apply(self) -> None:
        """Copy the averages into the model."""
        self.assign(self.averages)

    @torch.no_grad()
    def assign(self, weights: Mapping[str, Tensor]) -> None:
        """Copy these values, by name, into the model's averaged weights."""
        for name, weight in self._weights.items():
            weight.copy_(weights[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Use the averages as the model's weights inside the block, and restore the weights after it."""
        original = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self.apply()
        try:
            yield
        finally:
            self.assign(original)
