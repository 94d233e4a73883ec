"""The training batches of each epoch, in an order that depends on the seed only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.config import RunConfig
from pipeline.data.features.batching import Batch, Feature, shuffled, within_budget
from pipeline.data.features.packed import lengths_of
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
        self.lengths = lengths_of(features)
        self.orders: Iterator[list[NDArray[Any]]] = iter(())
        self.epoch = 0

    def __call__(self, epoch: int) -> EpochBatches:
        """Return the batches of an epoch, counted from 1; None where this process has no share of a batch."""
        if epoch <= self.epoch or self.epoch == 0:
            self.orders, self.epoch = _orders(self.lengths, self.setup.config, self.world.size), 0
        while self.epoch < epoch:
            order, self.epoch = next(self.orders), self.epoch + 1
        return EpochBatches(self, epoch, order, range(len(order)))

    def batch(self, rows: Sequence[int], epoch: int, number: int) -> Batch | None:
        """Make this process's share of a batch.

        Args:
            rows: indices of the features of the batch.
            epoch: number of the epoch, from 1.
            number: number of the batch in the epoch, from 0.
        """
        share = self.world.share(list(rows))
        if not share:
            return None
        random = np.random.default_rng((self.setup.config.seed, epoch, number, self.world.rank))
        return self.task.batch([self.features[i] for i in share], self.setup, random)


def _orders(lengths: NDArray[np.int64], config: RunConfig, n_processes: int) -> Iterator[list[NDArray[Any]]]:
    """Yield the indices of the features of each batch, for one epoch after another."""
    random, training = np.random.default_rng(config.seed), config.training
    while True:
        if training.batch_tokens:
            yield within_budget(lengths, training.batch_tokens * n_processes, random)
        else:
            yield shuffled(lengths, training.batch_size * n_processes, random)


@dataclass(frozen=True)
class EpochBatches(Sequence["Batch | None"]):
    """The batches of an epoch, each made when it is read, so that one is in memory at a time.

    Attributes:
        source: makes the batches.
        epoch: number of the epoch, from 1.
        order: indices of the features of each batch of the epoch.
        numbers: numbers of the batches of this sequence.
    """

    source: TrainingBatches
    epoch: int
    order: Sequence[NDArray[Any]]
    numbers: range

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Batch | None: ...

    @overload
    def __getitem__(self, index: slice) -> EpochBatches: ...

    def __getitem__(self, index: int | slice) -> Batch | EpochBatches | None:
        """Make a batch, or select several."""
        numbers = self.numbers[index]
        if isinstance(numbers, range):
            return EpochBatches(self.source, self.epoch, self.order, numbers)
        return self.source.batch(self.order[numbers].tolist(), self.epoch, numbers)
