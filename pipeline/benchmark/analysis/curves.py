"""What a curve comes to: its band over seeds, its area, when it reaches a target, the best that n trials promise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

CONFIDENCE = 0.95


def band(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean and 95 % interval of the mean, by Student's t (Student 1908); the interval is None for fewer than two."""
    from scipy.stats import t

    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, None, None
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return mean, mean - half, mean + half


def area(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Area under a curve by the trapezoid rule, divided by the range of x: the mean height.

    Args:
        xs: in ascending order.
        ys: heights.

    Returns:
        None where x has no range.
    """
    if not xs or xs[-1] == xs[0]:
        return None
    steps = zip(pairwise(xs), pairwise(ys), strict=True)
    return sum((right - left) * (low + high) / 2 for (left, right), (low, high) in steps) / (xs[-1] - xs[0])


def first_reached(values: Sequence[float], target: float, *, smaller_is_better: bool = False) -> int | None:
    """Place of the first value that is as good as the target; None if none is. NaN is not."""
    for place, value in enumerate(values):
        if value <= target if smaller_is_better else value >= target:
            return place
    return None


def median_time(times: Sequence[float | None]) -> float | None:
    """The time by which half of the runs had reached something (the median of Kaplan & Meier 1958).

    Args:
        times: None for a run that never reached it before it ended.

    Returns:
        One of the times; None if fewer than half of the runs have one, or there are no runs.
    """
    known = sorted(time for time in times if time is not None)
    half = (len(times) + 1) // 2
    return known[half - 1] if 0 < half <= len(known) else None


def expected_best(choose_by: Sequence[float], scores: Sequence[float]) -> list[float]:
    """What the best of 1, 2, … trials is expected to score (Dodge et al. 2019, "Show Your Work", section 3.1).

    The trials are drawn with replacement from those given. Of the drawn, that which is best on dev gives the score, and
    of several that are equally good one by chance. With the scores themselves to choose by it is the expected maximum,
    which is optimistic: it was chosen on the test set.

    Args:
        choose_by: for each trial what it is chosen by, larger being better, such as its measure on dev.
        scores: its score.

    Returns:
        As many numbers as there are trials.
    """
    scores_of = defaultdict(list)
    for by, score in zip(choose_by, scores, strict=True):
        scores_of[by].append(score)
    ranked = [scores_of[by] for by in sorted(scores_of)]  # from the worst to the best
    up_to = np.cumsum([0, *map(len, ranked)]) / max(1, len(scores))  # share of the trials that are no better
    means = np.array([np.mean(tied) for tied in ranked])
    return [float(np.diff(up_to**budget) @ means) for budget in range(1, len(scores) + 1)]
