"""The mean of a model's weights over its last steps, which is steadier than the weights of any one step."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

WARMUP = 9  # steps: early ones are averaged over fewer, so that the untrained weights are soon forgotten


class WeightAverage:
    """An exponential moving average of the trained weights (Polyak & Juditsky 1992).

    Step ``t`` (from 1) keeps ``min(decay, t / (t + 9))`` of the average so far. ``torch.optim.swa_utils`` has such
    averages too, but copies every buffer as well, and those of this model grow with its texts.

    Args:
        model: whose weights are averaged: those that are trained now.
        decay: share that a late step keeps, 0 to below 1; with 0 the average is the last weights.

    Attributes:
        step: how many steps were taken in.
        averages: by the weight's name.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.step = 0
        self.averages = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self, *, but: Collection[str] = ()) -> float:
        """Take in the weights of the step just made; those that are frozen for now are left as they are.

        Args:
            but: names of weights whose averages are kept by others.

        Returns:
            The share that the averages kept of what they were.
        """
        self.step += 1
        kept = min(self.decay, self.step / (self.step + WARMUP))
        taken = [name for name, weight in self._weights.items() if weight.requires_grad and name not in but]
        if taken:
            torch._foreach_lerp_([self.averages[name] for name in taken], [self._weights[name] for name in taken],
                                 1 - kept)
        return kept

    def apply(self) -> None:
        """Give the model the averaged weights."""
        self.assign(self.averages)

    @torch.no_grad()
    def assign(self, weights: Mapping[str, Tensor]) -> None:
        """Give the model these weights, by name, in place of those that are averaged."""
        for name, weight in self._weights.items():
            weight.copy_(weights[name])

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the model have the averaged weights within the block, and its own again behind it."""
        own = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self.apply()
        try:
            yield
        finally:
            self.assign(own)
