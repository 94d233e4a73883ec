"""Comparisons that are examined at several numbers of seeds, until they are settled.

The looks are at fixed numbers of seeds. At each look, the family of comparisons is tested at a level below 5%, which
the boundaries of a group-sequential design determine (Lan & DeMets 1983, "Discrete Sequential Boundaries for Clinical
Trials"). The probability of a false claim at any look up to ``n`` seeds is the share ``n / (n + 20)`` of 5%. It does
not depend on the largest number of seeds, so that this number can be raised after the results are known.

The level of one of ``k`` comparisons is that of a design with 5% / k, which makes Holm's procedure valid over all looks
(Maurer & Bretz 2013, "Multiple Testing in Group Sequential Trials Using Graphical Approaches"). Intervals have the same
level and are repeated confidence intervals (Jennison & Turnbull 1989): all intervals of all looks contain their means
with a probability of 95%.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.benchmark.analysis.statistics import ALPHA, BETTER, EQUAL, WORSE, Tested, as_family, seeds_needed

Array = NDArray[np.float64]

HALF_SPENT = 20
"""Number of seeds up to which half of 5% is spent; ``speed/sequential.py --design`` compares it with others."""
SERIES = tuple(round(10 ** (i / 10)) for i in range(8, 41))  # 6, 8, 10, 13, 16, 20, 25, ...: ten per decade
N_NODES = 96  # of the quadrature between the boundaries
SETTLED = (BETTER, WORSE, EQUAL)


@dataclass(frozen=True)
class Examined:
    """A comparison at its last look: the first one that settled it, or the latest.

    Attributes:
        tested: its statistics at that look, adjusted for all looks up to it.
        n_seeds: number of seeds at that look.
    """

    tested: Tested
    n_seeds: int

    @property
    def is_settled(self) -> bool:
        """Whether its verdict is better, worse or practically equal, and thus final."""
        return self.tested.verdict in SETTLED


def looks(m: int, n_seeds: int) -> list[int]:
    """Return the numbers of seeds up to ``n_seeds`` at which a family of ``m`` comparisons is examined.

    The first one is the smallest with which any verdict is possible.
    """
    return [n for n in SERIES if first_look(m) <= n <= n_seeds]


@lru_cache
def first_look(m: int) -> int:
    """Return the number of seeds at the first look at ``m`` comparisons."""
    return next(n for n in SERIES if math.ldexp(1, 1 - n) < _spent(ALPHA / m, n))


def seeds_for_a_verdict(plan: Mapping[str, Any], m: int) -> int:
    """Return the smallest number of seeds with which one of ``m`` comparisons of a plan can have a verdict."""
    return (first_look if plan.get("until_settled") else seeds_needed)(max(1, m))


def settle(
    comparisons: Sequence[Sequence[float | None]], n_seeds: int, *, margin: float | None = None
) -> list[Examined]:
    """Examine a family of comparisons at each look, and stop for each one at the look that settles it.

    Args:
        comparisons: the differences of each comparison by seed, positive for an improvement; None for a seed without
            results.
        n_seeds: number of seeds so far.
        margin: largest difference that counts as equal; None for no such verdict.

    Raises:
        PipelineError: if a difference is not finite.
    """
    m = len(comparisons)
    found: dict[int, Examined] = {}
    for n in looks(m, n_seeds) if m else ():
        pending = [index for index in range(m) if index not in found or not found[index].is_settled]
        n_shown = sum(found[index].tested.verdict in (BETTER, WORSE) for index in range(m) if index not in pending)
        family = as_family([_known(comparisons[index][:n]) for index in pending], m, margin=margin, n_shown=n_shown,
                           factor=partial(factor, m=m, n=n))
        found |= {index: Examined(one, n) for index, one in zip(pending, family, strict=True)}
    if m and not found:  # before the first look
        family = as_family([_known(one[:n_seeds]) for one in comparisons], factor=lambda k: math.inf)
        found = {index: Examined(one, n_seeds) for index, one in enumerate(family)}
    return [found[index] for index in range(m)]


def _known(differences: Sequence[float | None]) -> list[float]:
    return [one for one in differences if one is not None]


def factor(k: int, *, m: int, n: int) -> float:
    """Return the factor that corrects the p-value of one of ``k`` remaining comparisons at the look at ``n`` seeds.

    Args:
        k: number of comparisons for which no difference is shown so far.
        m: number of comparisons of the family, which determines the first look.
        n: number of seeds, one of :func:`looks`.
    """
    numbers = tuple(looks(m, n))
    return ALPHA / levels(tuple(_spent(ALPHA / k, n) for n in numbers), numbers)[-1]


def _spent(alpha: float, n: int) -> float:
    """Return the probability of a false claim that is allowed up to ``n`` seeds."""
    return alpha * n / (n + HALF_SPENT)


@lru_cache(maxsize=10_000)
def levels(spent: tuple[float, ...], ns: tuple[int, ...]) -> tuple[float, ...]:
    """Return the two-sided level of the test at each look of a group-sequential design.

    The distribution of the mean between the boundaries is integrated from look to look (Armitage, McPherson & Rowe
    1969, "Repeated Significance Tests on Accumulating Data").

    Args:
        spent: probability of crossing a boundary at this look or an earlier one, for each look, ascending.
        ns: number of observations at each look, ascending.
    """
    from scipy.special import ndtr, ndtri

    if len(ns) == 1:
        return (spent[0],)
    earlier = levels(spent[:-1], ns[:-1])
    nodes, density = _density(earlier, ns[:-1])
    step = math.sqrt(ns[-1] - ns[-2])
    wanted = spent[-1] - spent[-2]
    low, high = 0.0, 1.0
    for _ in range(60):
        level = (low + high) / 2
        bound = -ndtri(level / 2) * math.sqrt(ns[-1])
        crossed = density @ (ndtr((nodes - bound) / step) + ndtr((-nodes - bound) / step))
        low, high = (level, high) if crossed < wanted else (low, level)
    return *earlier, low


@lru_cache(maxsize=10_000)
def _density(levels_so_far: tuple[float, ...], ns: tuple[int, ...]) -> tuple[Array, Array]:
    """Return nodes between the boundaries of the last look, and the weighted density of the sum there."""
    from scipy.special import ndtri

    bound = -ndtri(levels_so_far[-1] / 2) * math.sqrt(ns[-1])
    unit, weights = np.polynomial.legendre.leggauss(N_NODES)
    nodes = unit * bound
    if len(ns) == 1:
        return nodes, weights * bound * _normal(nodes, ns[0])
    before, density = _density(levels_so_far[:-1], ns[:-1])
    return nodes, weights * bound * (_normal(nodes[:, None] - before, ns[-1] - ns[-2]) @ density)


def _normal(x: Array, variance: float) -> Array:
    """Return the density of the normal distribution with mean 0."""
    density: Array = np.exp(-x * x / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    return density
