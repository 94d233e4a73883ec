"""The training batches of each epoch, in an order that depends on the seed only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.features.batching import Batch, Feature, shuffled, within_budget
from pipeline.tasks.base import Task
from pipeline.tasks.resolved import Setup
from transformer.training.distributed import World


class TrainingBatches:
    """Return the batches of an epoch by its number; the same epoch always has the same batches.

    Args:
        task: makes batches of features.
        features: features of all training examples.
        setup: configuration and resolved facts of the run.
        world: process group; each process receives its share of every batch.
    """

    def __init__(self, task: Task[Any], features: Sequence[Feature], setup: Setup[Any], world: World) -> None:
        self.task, self.features, self.setup, self.world = task, features, setup, world
        self.lengths = [len(feature) for feature in features]
        self.orders: Iterator[list[NDArray[Any]]] = iter(())
        self.epoch = 0

    def __call__(self, epoch: int) -> list[Batch | None]:
        """Return the batches of an epoch, counted from 1; None where this process has no share of a batch."""
        if epoch <= self.epoch or self.epoch == 0:
            self.orders, self.epoch = self._orders(), 0
        while self.epoch < epoch:
            order, self.epoch = next(self.orders), self.epoch + 1
        return [self._batch(self.world.share(list(rows)), epoch, i) for i, rows in enumerate(order)]

    def _orders(self) -> Iterator[list[NDArray[Any]]]:
        config = self.setup.config
        random, training = np.random.default_rng(config.seed), config.training
        while True:
            if training.batch_tokens:
                yield within_budget(self.lengths, training.batch_tokens * self.world.size, random)
            else:
                yield shuffled(self.lengths, training.batch_size * self.world.size, random)

    def _batch(self, rows: list[int], epoch: int, number: int) -> Batch | None:
        if not rows:
            return None
        random = np.random.default_rng((self.setup.config.seed, epoch, number, self.world.rank))
        return self.task.batch([self.features[i] for i in rows], self.setup, random)
