"""Properties of curves: confidence band, area, time to a target, expected best score of n trials."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

CONFIDENCE = 0.95


def band(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Return the mean and its 95% confidence interval by Student's t (Student 1908); None for fewer than two values."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, None, None
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2) * np.std(values, ddof=1) / math.sqrt(n))
    return mean, mean - half, mean + half


def area(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Compute the area under a curve by the trapezoidal rule, divided by the range of x: its mean height.

    Args:
        xs: in ascending order.
        ys: one value for each of ``xs``.

    Returns:
        None if x has no range.
    """
    if not xs or xs[-1] == xs[0]:
        return None
    steps = zip(pairwise(xs), pairwise(ys), strict=True)
    return sum((right - left) * (low + high) / 2 for (left, right), (low, high) in steps) / (xs[-1] - xs[0])


def first_reached(values: Sequence[float], target: float, *, smaller_is_better: bool = False) -> int | None:
    """Return the index of the first value that reaches the target, or None; NaN never does."""
    for index, value in enumerate(values):
        if value <= target if smaller_is_better else value >= target:
            return index
    return None


def median_time(times: Sequence[float | None]) -> float | None:
    """Compute the median time to an event with censoring (Kaplan & Meier 1958).

    Args:
        times: None for a run that ended before the event.

    Returns:
        One of the times, or None if the event occurred in fewer than half of the runs.
    """
    known = sorted(time for time in times if time is not None)
    half = (len(times) + 1) // 2
    return known[half - 1] if 0 < half <= len(known) else None


def expected_best(choose_by: Sequence[float], scores: Sequence[float]) -> list[float]:
    """Compute the expected score of the best of 1, 2, ... trials (Dodge et al. 2019, "Show Your Work", section 3.1).

    Trials are drawn with replacement, and the one with the largest ``choose_by`` is selected, ties being broken at
    random. If ``choose_by`` equals ``scores``, the result is the expected maximum, which is biased upwards: selection
    then uses the test set.

    Args:
        choose_by: selection criterion of each trial, larger being better, such as its dev score.
        scores: score of each trial.

    Returns:
        Expected scores for 1, 2, ..., ``len(scores)`` trials.
    """
    scores_of = defaultdict(list)
    for by, score in zip(choose_by, scores, strict=True):
        scores_of[by].append(score)
    ranked = [scores_of[by] for by in sorted(scores_of)]  # ascending
    up_to = np.cumsum([0, *map(len, ranked)]) / max(1, len(scores))  # fraction of trials up to each rank
    means = np.array([np.mean(tied) for tied in ranked])
    return [float(np.diff(up_to**budget) @ means) for budget in range(1, len(scores) + 1)]
