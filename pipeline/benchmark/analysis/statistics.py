"""Statistics of paired differences: mean, bootstrap interval, permutation test, Holm correction, verdict.

A difference is reported only if the bootstrap interval excludes zero and the permutation test, corrected for the number
of comparisons, is significant (arXiv 2511.19794).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError

ALPHA = 0.05
BETTER, WORSE = "better", "worse"
NO_DIFFERENCE, TOO_FEW = "no difference shown", "too few seeds to say"

N_RESAMPLES = 9_999  # bootstrap resamples
MAX_EXACT = 2**16  # number of sign patterns up to which the permutation test is exact
N_RANDOM_SIGNS = 99_999  # sign patterns drawn beyond that; enough for significance in 2,499 comparisons under Holm
CHUNK_SIZE = 64  # comparisons per call of scipy; larger chunks need more memory and are not faster
EQUAL = 1e-6  # a range below this share of the largest difference counts as zero
DECIMALS = 9  # of means, scaled to about 1: removes the rounding error of float subtraction, so that ties are exact


@dataclass(frozen=True)
class Difference:
    """Statistics of the differences between pairs.

    Attributes:
        n: number of pairs.
        mean: mean difference; None without pairs.
        interval: 95% confidence interval of the mean; None for fewer than two pairs, a single point if all differences
            are equal.
        p: two-sided p-value of the sign-flip permutation test; None without pairs.
        effect_size: mean difference in standard deviations of the differences (Cohen 1988, d_z); None if these are
            equal.
    """

    n: int
    mean: float | None
    interval: tuple[float, float] | None
    p: float | None
    effect_size: float | None


def paired(differences: Sequence[float]) -> Difference:
    """Compute the mean of paired differences with its confidence interval, p-value and effect size.

    The interval is the bias-corrected and accelerated bootstrap (Efron 1987, "Better Bootstrap Confidence Intervals").
    The p-value is that of the sign-flip permutation test, exact up to 16 pairs and with random signs beyond. The random
    seed is fixed: equal differences in equal order give equal results.

    Args:
        differences: one for each pair.

    Raises:
        PipelineError: if a difference is not finite.
    """
    return paired_all([differences])[0]


def paired_all(comparisons: Sequence[Sequence[float]]) -> list[Difference]:
    """Compute :func:`paired` for each comparison, in chunks of equal numbers of pairs."""
    found: dict[int, Difference] = {}
    of_size = defaultdict(list)
    for index, differences in enumerate(comparisons):
        if not all(map(math.isfinite, differences)):
            raise PipelineError(f"cannot compare differences that are not finite: {list(differences)}")
        of_size[len(differences)].append(index)
    for n, indices in of_size.items():
        for start in range(0, len(indices), CHUNK_SIZE):
            chunk = indices[start : start + CHUNK_SIZE]
            rows = np.array([comparisons[index] for index in chunk], dtype=np.float64).reshape(len(chunk), n)
            found.update(zip(chunk, _paired_rows(rows), strict=True))
    return [found[index] for index in range(len(comparisons))]


def _paired_rows(rows: NDArray[np.float64]) -> list[Difference]:
    """Compute the statistics of each row. *Shape:* ``(n_comparisons, n_pairs)``."""
    n = rows.shape[1]
    if n == 0:
        return [Difference(0, None, None, None, None)] * len(rows)
    exponents = np.frexp(np.abs(rows).max(axis=1))[1]
    rows = np.ldexp(rows, -exponents[:, None])  # exact scaling to about 1, against underflow
    ps = _sign_flip(rows) if n > 1 else [1.0] * len(rows)
    return [_difference(row, int(exponent), p) for row, exponent, p in zip(rows, exponents, ps, strict=True)]


def _difference(row: NDArray[np.float64], exponent: int, p: float) -> Difference:
    mean, interval, effect_size = float(row.mean()), None, None
    if np.ptp(row) > EQUAL:
        interval, effect_size = _bca(row), float(mean / row.std(ddof=1))
    elif len(row) > 1:
        interval = mean, mean
    scaled = None if interval is None else (math.ldexp(interval[0], exponent), math.ldexp(interval[1], exponent))
    return Difference(len(row), math.ldexp(mean, exponent), scaled, p, effect_size)


def _bca(row: NDArray[np.float64]) -> tuple[float, float]:
    from scipy.stats import bootstrap

    found = bootstrap((row,), _mean, method="BCa", confidence_level=1 - ALPHA, n_resamples=N_RESAMPLES,
                      vectorized=True, random_state=np.random.default_rng(0)).confidence_interval
    return float(found.low), float(found.high)


def _sign_flip(rows: NDArray[np.float64]) -> list[float]:
    from scipy.stats import permutation_test

    n_signs = 2 ** rows.shape[1]
    found = permutation_test((rows,), _mean, axis=-1, permutation_type="samples", vectorized=True, batch=512,
                             n_resamples=n_signs if n_signs <= MAX_EXACT else N_RANDOM_SIGNS,
                             random_state=np.random.default_rng(0))
    return [float(p) for p in found.pvalue]


def _mean(values: NDArray[np.float64], axis: int) -> Any:
    """Compute means rounded so that equal ones compare equal, as both methods count ties."""
    return np.round(np.mean(values, axis=axis), DECIMALS)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for multiple comparisons (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure").

    Args:
        ps: p-values of all planned comparisons; None for one without pairs, which counts towards their number.
    """
    ranked = sorted(range(len(ps)), key=lambda index: _or_one(ps[index]))
    corrected: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, index in enumerate(ranked):
        highest = max(highest, min(1.0, (len(ps) - rank) * _or_one(ps[index])))
        corrected[index] = None if ps[index] is None else highest
    return corrected


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p


def seeds_needed(m: int, alpha: float = ALPHA) -> int:
    """Return the smallest number of pairs with which one of ``m`` comparisons can be significant.

    The smallest two-sided p-value of ``n`` pairs is 2/2^n. At alpha = 0.05 one comparison needs at least 6 pairs, three
    need 7 and six need 8.
    """
    n = 1
    while not _can_be_significant(n, m, alpha):
        n += 1
    return n


def _can_be_significant(n: int, m: int, alpha: float = ALPHA) -> bool:
    return math.ldexp(m, 1 - n) < alpha  # the smallest p-value, times m


def verdict(difference: Difference, p_holm: float | None, m: int) -> str:
    """Return ``better``, ``worse``, ``no difference shown`` or ``too few seeds to say``.

    Args:
        difference: positive for an improvement.
        p_holm: its p-value after :func:`holm`.
        m: number of comparisons.
    """
    if p_holm is None or difference.interval is None or not _can_be_significant(difference.n, m):
        return TOO_FEW
    low, high = difference.interval
    if p_holm >= ALPHA or low <= 0 <= high:
        return NO_DIFFERENCE
    return BETTER if low > 0 else WORSE


def p_value(p: float | None) -> str:
    """Format a p-value with enough digits not to round it across :data:`ALPHA`; "" for None."""
    if p is None:
        return ""
    if p < 0.001:
        return "< 0.001"
    digits = 3
    while (float(f"{p:.{digits}f}") < ALPHA) != (p < ALPHA):
        digits += 1
    return f"{p:.{digits}f}"
