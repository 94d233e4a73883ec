"""The sampling error of measures: how much they vary between test sets of the same size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.errors import DataError
from pipeline.tasks.base import Measures, Prediction, Task
from pipeline.tasks.resolved import Setup

MAX_GROUPS, MANY = 50, 1_000
MAX_GROUPS_OF_MANY = 20  # from MANY examples, because evaluating them takes long (corpus chrF in particular)
SEED = 0  # of the groups; fixed, so that equal predictions have equal errors


def sampling_error(
    task: Task[Any], examples: Sequence[Any], predictions: Sequence[Prediction], setup: Setup[Any]
) -> dict[str, float]:
    """Estimate the standard error of each measure by the delete-a-group jackknife (Kott 2001).

    Every group of examples is left out in turn and the rest evaluated. The method applies to any measure: a mean, an F1
    of entities, a corpus BLEU.

    Args:
        task: computes the measures.
        examples: the test set.
        predictions: one for each example.
        setup: configuration and resolved facts of the run.

    Returns:
        Standard errors by measure, without measures that are undefined for some groups. Empty for fewer than two
        examples.
    """
    return jackknife_errors(len(examples), lambda rows: task.measure(
        [examples[i] for i in rows], [predictions[i] for i in rows], setup))


def jackknife_errors(n: int, measure: Callable[[list[int]], Measures]) -> dict[str, float]:
    """Estimate the standard error of each measure of ``n`` examples, as :func:`sampling_error` does.

    Args:
        n: number of examples.
        measure: computes the measures of some of the examples, given their numbers.
    """
    n_groups = min(n, MAX_GROUPS if n < MANY else MAX_GROUPS_OF_MANY)
    if n_groups < 2:
        return {}
    group_of = np.random.default_rng(SEED).permutation(n) % n_groups
    without = []
    for group in range(n_groups):
        try:
            without.append(_numbers(measure(np.flatnonzero(group_of != group).tolist())))
        except DataError:  # nothing is left to evaluate
            return {}
    names = [name for name in without[0] if all(name in measures for measures in without)]
    values = np.array([[measures[name] for name in names] for measures in without])        # (n_groups, n_measures)
    errors = np.sqrt((n_groups - 1) / n_groups * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
    return dict(zip(names, errors.tolist(), strict=True))


def _numbers(measures: Measures) -> dict[str, float]:
    return {name: float(value) for name, value in measures.items()
            if isinstance(value, int | float) and name != "n" and not name.endswith("_n") and np.isfinite(value)}
