"""What paired differences between two starts can show: an interval, a p-value, an effect size, a verdict.

A difference is claimed only where a BCa bootstrap interval of the mean excludes zero and a sign-flip permutation test,
corrected for the number of comparisons, agrees (arXiv 2511.19794).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

ALPHA = 0.05
N_RESAMPLES = 9_999       # of the bootstrap
N_EXACT = 2**14           # sign flips that are all tried; of more, as many are drawn
SEED = 0                  # the same differences have the same interval
BETTER, WORSE = "better", "worse"
NO_DIFFERENCE, TOO_FEW = "no difference shown", "too few seeds to say"


@dataclass(frozen=True)
class Difference:
    """A mean paired difference and what is known of it.

    Attributes:
        n: number of pairs.
        mean: of the differences; None without pairs.
        interval: 95 %, by the bias-corrected and accelerated bootstrap (Efron 1987); the point itself where all
            differences are equal; None for fewer than two.
        p: two-sided, of the sign-flip permutation test of the mean (exact up to 14 pairs); None without pairs.
        effect_size: Cohen's d of paired samples (1988), the mean in spreads of the differences; None where they have no
            spread.
    """

    n: int
    mean: float | None
    interval: tuple[float, float] | None
    p: float | None
    effect_size: float | None


def paired(differences: ArrayLike) -> Difference:
    """Say what paired differences show, each of them one seed's. *Shape:* ``(n,)``."""
    values = np.asarray(differences, dtype=np.float64)
    if not len(values):
        return Difference(0, None, None, None, None)
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if len(values) > 1 and np.ptp(values) else 0.0
    return Difference(len(values), mean, bca_interval(values), sign_flip_p(values), mean / spread if spread else None)


def bca_interval(values: ArrayLike) -> tuple[float, float] | None:
    """The 95 % BCa bootstrap interval of a mean (Efron 1987), as ``scipy.stats.bootstrap`` computes it."""
    from scipy.stats import bootstrap

    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return None
    if not np.ptp(values):
        return float(values[0]), float(values[0])
    found = bootstrap((values,), np.mean, method="BCa", n_resamples=N_RESAMPLES, confidence_level=1 - ALPHA,
                      rng=np.random.default_rng(SEED)).confidence_interval
    return float(found.low), float(found.high)


def sign_flip_p(values: ArrayLike) -> float:
    """The two-sided p of the mean if each difference might as well have had the other sign.

    As ``scipy.stats.permutation_test`` of paired samples; all flips are tried up to 14 pairs.
    """
    from scipy.stats import permutation_test

    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2 or not values.any():
        return 1.0
    found = permutation_test((values,), np.mean, permutation_type="samples", vectorized=True, n_resamples=N_EXACT,
                             rng=np.random.default_rng(SEED))
    return min(1.0, float(found.pvalue))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for being several (Holm 1979); None, a comparison without pairs, counts as one of them."""
    order = sorted((i for i, p in enumerate(ps) if p is not None), key=lambda i: ps[i] or 0.0)
    corrected: list[float | None] = [None] * len(ps)
    least = 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(ps) - rank) * (ps[i] or 0.0)))
        corrected[i] = least
    return corrected


def can_show(n: int, n_comparisons: int) -> bool:
    """Whether any outcome of ``n`` pairs could be significant: the smallest two-sided p is ``2 / 2**n``."""
    return n_comparisons * 2.0 ** (1 - n) < ALPHA


def seeds_needed(n_comparisons: int) -> int:
    """The fewest seeds with which that many comparisons could show anything: 6 for one, 8 for six."""
    return next(n for n in range(1, 2000) if can_show(n, n_comparisons))


def verdict(difference: Difference, p_holm: float | None, n_comparisons: int) -> str:
    """One word of it; a positive difference is for the better.

    Args:
        difference: of the measure, turned so that more is better.
        p_holm: its p-value, corrected for the comparisons made.
        n_comparisons: how many these are.
    """
    if not can_show(difference.n, n_comparisons) or difference.mean is None:
        return TOO_FEW
    low, high = difference.interval or (-math.inf, math.inf)
    if p_holm is None or p_holm >= ALPHA or low <= 0 <= high:
        return NO_DIFFERENCE
    return BETTER if difference.mean > 0 else WORSE
