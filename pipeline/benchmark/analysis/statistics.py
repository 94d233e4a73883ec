"""Statistics of paired differences: mean, confidence interval, sign-flip test, Holm correction, verdict.

Test and interval come from the same computation, so that they cannot contradict one another. For differences that are
symmetric about their mean, the means of all subsets of the pairs divide the line into intervals that are equally likely
to contain it (Hartigan 1969, "Using Subsample Values as Typical Values"). A hypothetical mean is rejected by the
sign-flip test if few subsets have a mean on the other side of it than the remaining pairs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError

ALPHA = 0.05
BETTER, WORSE = "better", "worse"
EQUAL, NO_DIFFERENCE, TOO_FEW = "practically equal", "no difference shown", "too few seeds to say"

MAX_EXACT = 16  # pairs up to which all subsets are used
N_RANDOM_SUBSETS = 99_999  # subsets that are drawn beyond that; enough for significance in 2,499 comparisons under Holm
CHUNK_SIZE = 16  # comparisons computed together; more need more memory
NEGLIGIBLE = 1e-6  # a range below this share of the largest difference counts as zero
NEAR = 0.1  # an attainable alpha that is smaller by at most this share is used as it is
DECIMALS = 9  # of means, scaled to about 1: removes the rounding error of float subtraction, so that ties are exact


@dataclass(frozen=True)
class Difference:
    """Statistics of the differences between pairs.

    Attributes:
        n: number of pairs.
        mean: mean difference; None without pairs.
        interval: confidence interval of the mean; None for fewer than two pairs, a single point if all differences are
            equal.
        p: two-sided p-value of the sign-flip permutation test; None without pairs.
        effect_size: mean difference in standard deviations of the differences (Cohen 1988, d_z); None if these are
            equal.
    """

    n: int
    mean: float | None
    interval: tuple[float, float] | None
    p: float | None
    effect_size: float | None


@dataclass(frozen=True)
class Tested:
    """A comparison as one of a family.

    Attributes:
        difference: its statistics. Its interval is one of simultaneous 95% intervals, which all contain their means
            with that probability.
        p_holm: its p-value after :func:`holm`; None without pairs.
        verdict: ``better``, ``worse``, ``practically equal``, ``no difference shown`` or ``too few seeds to say``.
    """

    difference: Difference
    p_holm: float | None
    verdict: str


def paired(differences: Sequence[float]) -> Difference:
    """Compute the mean of paired differences with its 95% confidence interval, p-value and effect size.

    The p-value is that of the sign-flip permutation test, exact up to 16 pairs and with random subsets beyond; the
    random seed is fixed. The interval is the inversion of that test at the attainable level just above 95%, at most
    95.5%; six pairs have no such level, and theirs is interpolated between the two attainable levels on either side of
    95% (Hettmansperger & Sheather 1986). For fewer than six pairs, which have neither, it is that of Student's t.

    Args:
        differences: one for each pair.

    Raises:
        PipelineError: if a difference is not finite.
    """
    return paired_all([differences])[0]


def paired_all(comparisons: Sequence[Sequence[float]], *, alphas: Sequence[float] | None = None) -> list[Difference]:
    """Compute :func:`paired` for each comparison, in chunks of equal numbers of pairs.

    Args:
        comparisons: the differences of each comparison.
        alphas: 1 minus the level of each interval; by default :data:`ALPHA`.
    """
    levels = alphas or [ALPHA] * len(comparisons)
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
            found.update(zip(chunk, _paired_rows(rows, [levels[index] for index in chunk]), strict=True))
    return [found[index] for index in range(len(comparisons))]


def as_family(
    comparisons: Sequence[Sequence[float]], m: int | None = None, *, margin: float | None = None, n_shown: int = 0,
    factor: Callable[[int], float] = float,
) -> list[Tested]:
    """Test comparisons as one family, with Holm's correction and intervals that agree with it.

    The intervals are those of Holm's procedure (Strassburger & Bretz 2008; Guilbaud 2008): a comparison with a verdict
    has one of level 1 - alpha / m that ends at zero if it would contain it; ``k`` comparisons without a verdict have
    intervals of level 1 - alpha / k, which contain zero. Of these, a comparison whose interval lies between -margin and
    margin is practically equal: two one-sided tests (Schuirmann 1987) at half of its level. All claims hold if all
    intervals contain their means, so that verdicts of both kinds are wrong with a probability of 5% at most together.

    Args:
        comparisons: the differences of each comparison, positive for an improvement.
        m: size of the family, if some of its comparisons are not given; they count as without results.
        margin: largest difference that counts as equal; None for no such verdict.
        n_shown: number of comparisons of the family, not given, for which a difference was shown before.
        factor: factor that corrects the p-value of one of ``k`` comparisons; ``k`` for a single look at the data.

    Raises:
        PipelineError: if a difference is not finite.
    """
    m = max(len(comparisons) + n_shown, m or 0)
    are_too_few = [not _can_be_significant(len(differences), factor(m)) for differences in comparisons]
    return tested_together(lambda alphas: paired_all(comparisons, alphas=alphas), are_too_few, m, margin=margin,
                         n_shown=n_shown, factor=factor)


def tested_together(
    compute: Callable[[Sequence[float]], Sequence[Difference]], are_too_few: Sequence[bool], m: int, *,
    margin: float | None = None, n_shown: int = 0, factor: Callable[[int], float] = float,
) -> list[Tested]:
    """Test comparisons as one family, as :func:`as_family` does, with any test.

    Args:
        compute: returns the statistics of each comparison, with intervals of levels 1 minus the given ones.
        are_too_few: whether a comparison cannot have a verdict.
        m: size of the family.
        margin: as for :func:`as_family`.
        n_shown: as for :func:`as_family`.
        factor: as for :func:`as_family`.
    """
    ps = [one.p for one in compute([ALPHA] * len(are_too_few))]
    corrected = holm([*ps, *[None] * (m - n_shown - len(ps))], factor)[: len(ps)]
    are_shown = [p is not None and p < ALPHA and not is_too_few
                 for p, is_too_few in zip(corrected, are_too_few, strict=True)]
    k = max(1, m - n_shown - sum(are_shown))
    alphas = [ALPHA / (m if is_too_few else factor(m if is_shown else k))
              for is_shown, is_too_few in zip(are_shown, are_too_few, strict=True)]
    return [_tested(_consistent(one, is_shown, is_too_few), p, is_shown, is_too_few, margin)
            for one, p, is_shown, is_too_few in zip(compute(alphas), corrected, are_shown, are_too_few, strict=True)]


def _consistent(one: Difference, is_shown: bool, is_too_few: bool) -> Difference:
    """Return the comparison with an interval that contains zero if and only if it has no verdict.

    With a verdict, zero may remain the end of the interval.
    """
    if one.interval is None or one.mean is None or is_too_few:
        return one
    low, high = one.interval
    if is_shown:
        interval = (max(low, 0.0), high) if one.mean > 0 else (low, min(high, 0.0))
    else:
        interval = min(low, 0.0), max(high, 0.0)
    return replace(one, interval=interval)


def _tested(one: Difference, p: float | None, is_shown: bool, is_too_few: bool, margin: float | None) -> Tested:
    if is_too_few or one.mean is None:
        verdict = TOO_FEW
    elif is_shown:
        verdict = BETTER if one.mean > 0 else WORSE
    else:
        is_equal = margin is not None and one.interval is not None and max(map(abs, one.interval)) < margin
        verdict = EQUAL if is_equal else NO_DIFFERENCE
    return Tested(one, p, verdict)


def _paired_rows(rows: NDArray[np.float64], alphas: Sequence[float]) -> list[Difference]:
    """Compute the statistics of each row. *Shape:* ``(n_comparisons, n_pairs)``."""
    n = rows.shape[1]
    if n == 0:
        return [Difference(0, None, None, None, None)] * len(rows)
    exponents = np.frexp(np.abs(rows).max(axis=1))[1]
    rows = np.ldexp(rows, -exponents[:, None])  # exact scaling to about 1, against underflow
    lows, highs = _typical_values(rows)
    return [_difference(row, int(exponent), low, high, alpha)
            for row, exponent, low, high, alpha in zip(rows, exponents, lows, highs, alphas, strict=True)]


def _difference(
    row: NDArray[np.float64], exponent: int, lows: NDArray[np.float64], highs: NDArray[np.float64], alpha: float
) -> Difference:
    n, mean, interval, effect_size = len(row), float(row.mean()), None, None
    if np.ptp(row) > NEGLIGIBLE:
        interval = _inverted(lows, highs, alpha) or _student(row, alpha) if n > 1 else None
        effect_size = float(mean / row.std(ddof=1))
    elif n > 1:
        interval = mean, mean
    p = float((1 + ((lows <= 0) & (highs >= 0)).sum()) / (1 + len(lows)))
    scaled = None if interval is None else (math.ldexp(interval[0], exponent), math.ldexp(interval[1], exponent))
    return Difference(n, math.ldexp(mean, exponent), scaled, p, effect_size)


def _typical_values(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smaller and the greater mean of each subset and its complement, both sorted towards the middle.

    *Shape:* ``(n_comparisons, n_subsets)`` each: all subsets that have a non-empty complement, counted once with it.
    """
    subsets = _subsets(rows.shape[1])                                                       # (n_subsets, n_pairs)
    sizes = subsets.sum(axis=1)                                                             # (n_subsets,)
    sums = rows @ subsets.T                                                                 # (n_comparisons, n_subsets)
    inside = np.round(sums / np.maximum(sizes, 1), DECIMALS)
    outside = np.round((rows.sum(axis=1, keepdims=True) - sums) / np.maximum(rows.shape[1] - sizes, 1), DECIMALS)
    lows, highs = np.minimum(inside, outside), np.maximum(inside, outside)
    is_trivial = (sizes == 0) | (sizes == rows.shape[1])  # drawn at random; on both sides of every value
    lows[:, is_trivial], highs[:, is_trivial] = -np.inf, np.inf
    return np.sort(lows, axis=1), -np.sort(-highs, axis=1)


@cache
def _subsets(n: int) -> NDArray[np.float64]:
    """Return subsets of ``n`` pairs as rows of 0 and 1. *Shape:* ``(n_subsets, n)``."""
    if n <= MAX_EXACT:
        numbers = np.arange(1, 2 ** (n - 1))[:, None]  # without the last pair, which is in the complement
        return ((numbers >> np.arange(n)) & 1).astype(np.float64)
    return (np.random.default_rng(0).random((N_RANDOM_SUBSETS, n)) < 0.5).astype(np.float64)


def _inverted(
    lows: NDArray[np.float64], highs: NDArray[np.float64], alpha: float
) -> tuple[float, float] | None:
    """Return the interval of the means that the sign-flip test does not reject; None if unbounded.

    It is interpolated if no attainable level is near ``1 - alpha``.
    """
    rank = alpha * (1 + len(lows)) + 1e-9
    k, share = int(rank), rank % 1
    if k < 1:
        return None
    if share <= NEAR * rank:
        share = 0.0
    ends = [float((1 - share) * values[k - 1] + share * values[k]) for values in (lows, highs)]
    return (ends[0], ends[1]) if all(map(math.isfinite, ends)) else None


def _student(row: NDArray[np.float64], alpha: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    half = float(stdtrit(len(row) - 1, 1 - alpha / 2) * row.std(ddof=1) / math.sqrt(len(row)))
    return float(row.mean()) - half, float(row.mean()) + half


def holm(ps: Sequence[float | None], factor: Callable[[int], float] = float) -> list[float | None]:
    """Adjust p-values for multiple comparisons (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure").

    Args:
        ps: p-values of all planned comparisons; None for one without pairs, which counts towards their number.
        factor: factor of the smallest of ``k`` p-values; ``k`` for a single look at the data.
    """
    ranked = sorted(range(len(ps)), key=lambda index: _or_one(ps[index]))
    corrected: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, index in enumerate(ranked):
        highest = max(highest, min(1.0, factor(len(ps) - rank) * _or_one(ps[index])))
        corrected[index] = None if ps[index] is None else highest
    return corrected


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p


def seeds_needed(m: float, alpha: float = ALPHA) -> int:
    """Return the smallest number of pairs with which one of ``m`` comparisons can be significant.

    The smallest two-sided p-value of ``n`` pairs is 2/2^n. At alpha = 0.05 one comparison needs at least 6 pairs, three
    need 7 and six need 8.
    """
    n = 1
    while not _can_be_significant(n, m, alpha):
        n += 1
    return n


def _can_be_significant(n: int, m: float, alpha: float = ALPHA) -> bool:
    return math.ldexp(m, 1 - n) < alpha  # the smallest p-value, times m


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
