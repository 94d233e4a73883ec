"""Differences that were measured on several data sets, with the data set as a random effect.

The difference of seed ``j`` on data set ``d`` is ``mu + b_d + e_dj``: ``mu`` is the mean over the population from which
the data sets come, ``b_d`` the effect of the data set with standard deviation tau, and ``e_dj`` the error of the seed.
The means of the ``k`` data sets have equal weights, and the interval and the test of ``mu`` are those of Student's t
over them, with ``k - 1`` degrees of freedom. With equal numbers of seeds and errors, this is the exact inference in the
mixed model. Weights that depend on the estimated errors cover less often (``speed/data_sets.py``). The interval
requires that the effects of the data sets are approximately normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, variance

from pipeline.benchmark.analysis.statistics import ALPHA, NEGLIGIBLE, Difference, Tested, tested_together

MIN_DATA_SETS = 3
"""Fewer data sets have no verdict: with two, Student's t has a single degree of freedom."""
TOO_FEW_DATA = "too few data sets to say"


@dataclass(frozen=True)
class Pooled:
    """The estimate over data sets.

    Attributes:
        n: number of data sets.
        mean: mean over the data sets.
        error: its standard error; 0 for one data set.
        spread: standard deviation of the differences between data sets without the error of the seeds, tau, by the
            method of moments (Hedges & Olkin 1985, section 9.C).
    """

    n: int
    mean: float
    error: float
    spread: float

    def difference(self, alpha: float = ALPHA) -> Difference:
        """Return its statistics with an interval of level 1 - alpha; neither p-value nor interval for one data set."""
        from scipy.special import stdtr, stdtrit

        if self.n < 2:
            return Difference(self.n, self.mean, None, None, None)
        if self.error <= 0:
            return Difference(self.n, self.mean, (self.mean, self.mean), float(self.mean == 0), None)
        half = float(stdtrit(self.n - 1, 1 - alpha / 2)) * self.error
        p = float(2 * stdtr(self.n - 1, -abs(self.mean) / self.error))
        return Difference(self.n, self.mean, (self.mean - half, self.mean + half), p,
                          self.mean / self.spread if self.spread > 0 else None)


def pool(data_sets: Sequence[Sequence[float]]) -> Pooled | None:
    """Estimate the mean difference over data sets; None without any difference.

    Args:
        data_sets: the paired differences of each data set; empty ones are left out.
    """
    known = [one for one in data_sets if one]
    if not known:
        return None
    return pool_means([fmean(one) for one in known],
                      [variance(one) / len(one) if len(one) > 1 else 0.0 for one in known])


def pool_means(means: Sequence[float], variances: Sequence[float]) -> Pooled:
    """Estimate the mean of means.

    Args:
        means: of the data sets.
        variances: of their errors over seeds; used for the spread, and for the error if all means are equal.
    """
    k, mean, within = len(means), fmean(means), fmean(variances)
    if k < 2:
        return Pooled(k, mean, 0.0, 0.0)
    if max(means) - min(means) <= NEGLIGIBLE * max(map(abs, means)):
        return Pooled(k, mean, math.sqrt(within / k), 0.0)
    total = variance(means)
    return Pooled(k, mean, math.sqrt(total / k), math.sqrt(max(0.0, total - within)))


def family_over_data_sets(
    comparisons: Sequence[Sequence[Sequence[float]]], *, margin: float | None = None
) -> list[tuple[Tested, float | None]]:
    """Test comparisons over data sets as one family, as :func:`~pipeline.benchmark.analysis.statistics.as_family` does.

    Args:
        comparisons: for each comparison the paired differences of each data set.
        margin: largest mean difference that counts as equal; None for no such verdict.

    Returns:
        Each comparison, whose ``n`` is the number of data sets, with the standard deviation between data sets.
    """
    pooled = [pool(one) for one in comparisons]

    def compute(alphas: Sequence[float]) -> list[Difference]:
        return [Difference(0, None, None, None, None) if one is None else one.difference(alpha)
                for one, alpha in zip(pooled, alphas, strict=True)]

    are_too_few = [one is None or one.n < MIN_DATA_SETS for one in pooled]
    family = tested_together(compute, are_too_few, len(comparisons), margin=margin)
    return [(replace(tested, verdict=TOO_FEW_DATA) if is_too_few else tested, None if one is None else one.spread)
            for tested, one, is_too_few in zip(family, pooled, are_too_few, strict=True)]
