"""Paired differences between two starts: how large, how sure, and what may be said of them.

A difference is claimed only where a bootstrap interval excludes zero and a permutation test that knows how many
comparisons were made agrees (arXiv 2511.19794).
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

N_RESAMPLES = 9_999  # of the bootstrap
MAX_EXACT = 2**16  # choices of signs that are gone through one by one
N_DRAWN = 99_999  # of more than that, with which Holm's correction can still show something in 2,499 comparisons
AT_ONCE = 64  # comparisons that go through scipy together; more would only take memory
EQUAL = 1e-6  # as a share of the largest difference: a spread below this is none
DIGITS = 9  # of means, the largest difference being about 1: what subtracting floats leaves is cut off


@dataclass(frozen=True)
class Difference:
    """What differences of pairs come to.

    Attributes:
        n: pairs.
        mean: of the differences; None without any.
        interval: 95 % for the mean; None for fewer than two pairs. Equal differences have no spread to resample, and
            theirs is the one point.
        p: two-sided, that signs thrown by a coin make the mean as far from zero; None without any pair.
        effect_size: the mean in standard deviations of the differences (Cohen 1988, d_z); None where these are equal.
    """

    n: int
    mean: float | None
    interval: tuple[float, float] | None
    p: float | None
    effect_size: float | None


def paired(differences: Sequence[float]) -> Difference:
    """The mean of paired differences with its interval, p-value and effect size.

    The interval is the bias-corrected and accelerated bootstrap (Efron 1987, "Better Bootstrap Confidence Intervals").
    The p-value is of the sign-flip permutation test: exact up to 16 pairs, with random signs beyond. Random numbers
    have a fixed seed: equal differences in equal order give equal results.

    Args:
        differences: one a pair.

    Raises:
        PipelineError: if one is not a finite number.
    """
    return paired_all([differences])[0]


def paired_all(comparisons: Sequence[Sequence[float]]) -> list[Difference]:
    """:func:`paired` of each comparison, many times faster than one by one."""
    made: dict[int, Difference] = {}
    of_size = defaultdict(list)
    for place, differences in enumerate(comparisons):
        if not all(map(math.isfinite, differences)):
            raise PipelineError(f"differences must be finite numbers to be compared, not {list(differences)}")
        of_size[len(differences)].append(place)
    for n, places in of_size.items():
        for begin in range(0, len(places), AT_ONCE):
            chunk = places[begin : begin + AT_ONCE]
            rows = np.array([comparisons[place] for place in chunk], dtype=np.float64).reshape(len(chunk), n)
            made.update(zip(chunk, _paired_rows(rows), strict=True))
    return [made[place] for place in range(len(comparisons))]


def _paired_rows(rows: NDArray[np.float64]) -> list[Difference]:
    """What each row comes to. *Shape:* ``(n_comparisons, n_pairs)``."""
    n = rows.shape[1]
    if n == 0:
        return [Difference(0, None, None, None, None)] * len(rows)
    exponents = np.frexp(np.abs(rows).max(axis=1))[1]
    rows = np.ldexp(rows, -exponents[:, None])  # to about 1 and exactly, so that no power of a number underflows
    ps = _sign_flip(rows) if n > 1 else [1.0] * len(rows)
    return [_difference(row, int(exponent), p) for row, exponent, p in zip(rows, exponents, ps, strict=True)]


def _difference(row: NDArray[np.float64], exponent: int, p: float) -> Difference:
    mean, interval, effect_size = float(row.mean()), None, None
    if np.ptp(row) > EQUAL:
        interval, effect_size = _bca(row), float(mean / row.std(ddof=1))
    elif len(row) > 1:
        interval = mean, mean
    ends = None if interval is None else (math.ldexp(interval[0], exponent), math.ldexp(interval[1], exponent))
    return Difference(len(row), math.ldexp(mean, exponent), ends, p, effect_size)


def _bca(row: NDArray[np.float64]) -> tuple[float, float]:
    from scipy.stats import bootstrap

    found = bootstrap((row,), _mean, method="BCa", confidence_level=1 - ALPHA, n_resamples=N_RESAMPLES,
                      vectorized=True, random_state=np.random.default_rng(0)).confidence_interval
    return float(found.low), float(found.high)


def _sign_flip(rows: NDArray[np.float64]) -> list[float]:
    from scipy.stats import permutation_test

    n_signs = 2 ** rows.shape[1]
    found = permutation_test((rows,), _mean, axis=-1, permutation_type="samples", vectorized=True, batch=512,
                             n_resamples=n_signs if n_signs <= MAX_EXACT else N_DRAWN,
                             random_state=np.random.default_rng(0))
    return [float(p) for p in found.pvalue]


def _mean(values: NDArray[np.float64], axis: int) -> Any:
    """Means in which ties are ties: a share of 500 texts has few values, and both methods count how many are equal."""
    return np.round(np.mean(values, axis=axis), DIGITS)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure").

    Args:
        ps: of all comparisons that were to be made; None for one without any pair, which counts like the others.
    """
    ranked = sorted(range(len(ps)), key=lambda place: _or_one(ps[place]))
    corrected: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, place in enumerate(ranked):
        highest = max(highest, min(1.0, (len(ps) - rank) * _or_one(ps[place])))
        corrected[place] = None if ps[place] is None else highest
    return corrected


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p


def seeds_needed(m: int, alpha: float = ALPHA) -> int:
    """The fewest pairs with which ``m`` comparisons could show anything.

    The smallest two-sided p of ``n`` pairs is 2/2^n: all signs equal. One comparison needs 6 pairs at 0.05, six need 8.
    """
    n = 1
    while not _could_show(n, m, alpha):
        n += 1
    return n


def _could_show(n: int, m: int, alpha: float = ALPHA) -> bool:
    return math.ldexp(m, 1 - n) < alpha  # the smallest p, m times


def verdict(difference: Difference, p_holm: float | None, m: int) -> str:
    """One of ``better``, ``worse``, ``no difference shown`` and ``too few seeds to say``.

    Args:
        difference: positive where it is for the better.
        p_holm: its p-value as :func:`holm` corrected it.
        m: the number of comparisons that were made.
    """
    if p_holm is None or difference.interval is None or not _could_show(difference.n, m):
        return TOO_FEW
    low, high = difference.interval
    if p_holm >= ALPHA or low <= 0 <= high:
        return NO_DIFFERENCE
    return BETTER if low > 0 else WORSE


def p_value(p: float | None) -> str:
    """A probability, never rounded across the level that decides; "" if there is none."""
    if p is None:
        return ""
    if p < 0.001:
        return "< 0.001"
    digits = 3
    while (float(f"{p:.{digits}f}") < ALPHA) != (p < ALPHA):
        digits += 1
    return f"{p:.{digits}f}"
