"""The mean of a model's weights over its last steps, which is steadier than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

WARMUP = 9  # steps: early ones are averaged over fewer, so that the untrained weights are soon forgotten


class WeightAverage:
    """An exponential moving average of the trained weights (Polyak & Juditsky 1992).

    Step ``t`` (from 1) keeps ``min(decay, t / (t + 9))`` of the average so far. ``torch.optim.swa_utils`` has such
    averages too, but copies every buffer as well, and those of this model grow with its texts.

    Args:
        model: whose weights are averaged.
        decay: share that a late step keeps, 0 to below 1; with 0 the average is the last weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay, self._step = decay, 0
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._average = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of the step just made."""
        self._step += 1
        kept = min(self._decay, self._step / (self._step + WARMUP))
        for average, weight in zip(self._average, self._weights, strict=True):
            average.lerp_(weight, 1 - kept)

    @torch.no_grad()
    def apply(self) -> None:
        """Give the model the averaged weights."""
        for average, weight in zip(self._average, self._weights, strict=True):
            weight.copy_(average)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the model have the averaged weights within the block, and its own again behind it."""
        own = [weight.detach().clone() for weight in self._weights]
        self.apply()
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, before in zip(self._weights, own, strict=True):
                    weight.copy_(before)
