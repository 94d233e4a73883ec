"""How far a measure would move with another test set of the same size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.config import RunConfig
from pipeline.errors import DataError
from pipeline.tasks.base import Measures, Prediction, Task

MAX_GROUPS, MANY = 50, 1_000
MAX_GROUPS_OF_MANY = 20  # from so many examples on, since each measuring of them takes long (a corpus's chrF most)
SEED = 0  # of the groups; the same for every run, so that the same predictions have the same error


def sampling_error(
    task: Task[Any], examples: Sequence[Any], predictions: Sequence[Prediction], config: RunConfig
) -> dict[str, float]:
    """The standard error of each measure due to the examples being a sample, by the delete-a-group jackknife.

    Every group of examples is left out in turn and the rest measured (Kott 2001, "The Delete-a-Group Jackknife"), which
    needs nothing of the measure but that it can be taken: a mean, an F1 over all entities, a BLEU of a corpus.

    Args:
        task: takes the measures.
        examples: the test set.
        predictions: for each of them.
        config: of the run.

    Returns:
        By the measure's name; measures that some of the groups leave undefined are not in it. Empty for fewer than two
        examples.
    """
    n_groups = min(len(examples), MAX_GROUPS if len(examples) < MANY else MAX_GROUPS_OF_MANY)
    if n_groups < 2:
        return {}
    group_of = np.random.default_rng(SEED).permutation(len(examples)) % n_groups
    without = []
    for group in range(n_groups):
        rows = np.flatnonzero(group_of != group).tolist()
        try:
            without.append(_numbers(task.measure([examples[i] for i in rows], [predictions[i] for i in rows], config)))
        except DataError:  # nothing to measure is left
            return {}
    names = [name for name in without[0] if all(name in measures for measures in without)]
    values = np.array([[measures[name] for name in names] for measures in without])        # (n_groups, n_measures)
    errors = np.sqrt((n_groups - 1) / n_groups * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
    return dict(zip(names, errors.tolist(), strict=True))


def _numbers(measures: Measures) -> dict[str, float]:
    return {name: float(value) for name, value in measures.items()
            if isinstance(value, int | float) and name != "n" and not name.endswith("_n") and np.isfinite(value)}
