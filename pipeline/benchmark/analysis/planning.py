"""Power of the verdict "practically equal", and the number of seeds for a given power."""

from __future__ import annotations

import math

from pipeline.benchmark.analysis.statistics import ALPHA, seeds_needed

POWER = 0.8
MAX_SEEDS = 10_000


def power_of_equality(spread: float, n: int, margin: float, m: float = 1) -> float:
    """Return the probability of the verdict "practically equal" if the true difference is zero.

    It is the power of two one-sided t-tests (Schuirmann 1987) at the level of one of ``m`` simultaneous intervals, with
    the observed standard deviation in place of the true one.

    Args:
        spread: standard deviation of the paired differences.
        n: number of pairs.
        margin: largest difference that counts as equal, in the units of ``spread``.
        m: number of comparisons, or the factor that corrects their p-values.
    """
    from scipy.special import stdtr, stdtrit

    if n < seeds_needed(m):
        return 0.0
    if spread <= 0:
        return 1.0
    critical = stdtrit(n - 1, 1 - ALPHA / (2 * m))
    return max(0.0, float(2 * stdtr(n - 1, margin * math.sqrt(n) / spread - critical) - 1))


def seeds_to_settle(spread: float, margin: float, m: float = 1, power: float = POWER) -> int | None:
    """Return the number of seeds for which equal initialisations are found practically equal with a given probability.

    With this number of seeds, a true difference of the margin is shown with at least the same probability.

    Args:
        spread: standard deviation of the paired differences.
        margin: largest difference that counts as equal, in the units of ``spread``.
        m: number of comparisons.
        power: the probability.

    Returns:
        The number, or None if it is above 10,000.
    """
    low, high = seeds_needed(m), MAX_SEEDS
    if power_of_equality(spread, high, margin, m) < power:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of_equality(spread, middle, margin, m) >= power else (middle + 1, high)
    return low
