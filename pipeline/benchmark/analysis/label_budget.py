"""Forecasts of the score with more labels, from the learning curve over numbers of training examples.

The error with ``n`` training examples is modelled as

    error(n) = a + (error(N) - a) * f(n) / f(N),    0 <= a <= error(N),

where ``N`` is the largest number of examples in the benchmark, ``a`` the error with unlimited data, and ``f`` a power
law, ``n ** -c`` (Hestness et al. 2017, arXiv 1712.00409), or a Weibull curve, ``exp(-(n / k) ** c)`` (Viering & Loog
2023, "The Shape of Learning Curves"), which can be flat at first. All curves of a grid are weighted by their
likelihood, given the variance between seeds; the forecast is the distribution of the mean score over as many draws as
the benchmark has. So the interval includes the uncertainty about the curve and the variance between draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.8        # of the intervals
MORE = (50, 100)   # numbers of further labels to forecast for, besides as many again
MIN_SIZES = 3      # numbers of training examples that a curve needs
WIDTH = 0.75       # factor of the distance of both bounds from the forecast; see speed/label_budget.py
MISFIT = 0.01      # standard deviation of a point about the best curve, besides that between seeds
SPREAD, SPREAD_DF = 0.02, 2.0  # prior of the standard deviation over seeds, and its weight in degrees of freedom
SPREADS = np.geomspace(0.35, 4.0, 9)  # standard deviations over seeds, in multiples of the estimate
N_LAST, N_LIMIT = 41, 31       # points of the grid for error(N) and for a
N_BINS = 400                   # of the distribution of the forecast
POWERS = np.geomspace(0.05, 2.0, 14)
WEIBULL_POWERS = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
WEIBULL_SCALES = np.geomspace(0.25, 16.0, 10)  # k, in multiples of the geometric mean of the numbers of examples
Floats = NDArray[np.float64]


class Point(NamedTuple):
    """The scores with one number of training examples.

    Attributes:
        n_train: number of training examples.
        scores: test score of each seed.
    """

    n_train: int
    scores: Sequence[float]


@dataclass(frozen=True)
class Forecast:
    """A forecast of the mean score.

    Attributes:
        n_train: number of training examples.
        expected: median of the forecast.
        low: lower bound of the 80% interval.
        high: upper bound.
    """

    n_train: int
    expected: float
    low: float
    high: float


def forecast(
    points: Sequence[Point], n_train: int, *, smaller_is_better: bool = False, is_share: bool = True,
    width: float = WIDTH,
) -> Forecast:
    """Forecast the mean score over seeds with another number of training examples.

    Args:
        points: at least two, by increasing number of training examples.
        n_train: the number to forecast for.
        smaller_is_better: whether the score is an error, at least 0; otherwise it is a share between 0 and 1.
        is_share: whether the score is at most 1.
        width: factor of the distance of both bounds from the median.
    """
    means = np.array([np.mean(point.scores) for point in points])
    errors = means if smaller_is_better else 1 - means
    scale = 1.0 if is_share else float(max(errors.max(), 1e-12))
    sizes = np.array([point.n_train for point in points], dtype=float)
    counts = np.array([len(point.scores) for point in points])
    estimate, relative = _spreads([np.asarray(point.scores) / scale for point in points])
    shapes = _shapes(sizes, float(n_train))                                                # (n_shapes, n_sizes + 1)
    reach = 3 * math.hypot(SPREADS[-1] * estimate * relative[-1] / math.sqrt(counts[-1]), MISFIT) / 2
    last = errors[-1] / scale + np.linspace(-reach, reach, N_LAST)
    last = last[(last >= 0) & (last <= 1.5)]
    limits = np.linspace(0, 1, N_LIMIT)[:, None] * last                                    # (n_limits, n_last)
    curves = limits[..., None, None] + (last[:, None, None] - limits[..., None, None]) * shapes
    curves = curves.reshape(-1, len(sizes) + 1)                                            # (n_curves, n_sizes + 1)
    curves = curves[curves.max(axis=1) <= 1] if is_share else curves
    squares = (curves[:, :-1] - errors / scale) ** 2                                       # (n_curves, n_sizes)
    log_weights, noises = [], []
    for spread in SPREADS * estimate:
        variances = (spread * relative) ** 2 / counts + MISFIT**2
        log_weights.append(-0.5 * (squares @ (1 / variances)) - 0.5 * np.log(variances).sum()
                           + _log_prior(spread, estimate, counts))
        noises.append(math.sqrt(variances[-1]))
    median, low, high = _quantiles(curves[:, -1], np.array(log_weights), noises)
    low, high = median - width * (median - low), median + width * (high - median)
    ends = [np.clip(end, 0, 1 if is_share else None) * scale for end in (median, low, high)]
    expected, first, second = (float(end if smaller_is_better else 1 - end) for end in ends)
    return Forecast(n_train, expected, min(first, second), max(first, second))


def label_budget(plan: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Forecast the score with more labels for each curve with at least three numbers of training examples.

    Args:
        plan: with ``conditions``, ``smaller_is_better`` and ``is_share``.
        cells: of the summary.

    Returns:
        JSON-serialisable, for each initialisation or rival and each choice of the varied keys: ``start``, ``vary``,
        ``n_train`` and ``mean`` of the largest number of training examples; ``forecasts``, each with ``more`` labels,
        ``n_train``, ``expected``, ``low``, ``high``, and ``gain``, the expected improvement over the curve at the
        largest number so far; and ``check``, the forecast for the largest number from the smaller ones with
        ``actual``, the mean score, and whether it is ``inside`` the interval, or None.
    """
    if not (plan["is_share"] or plan["smaller_is_better"]):
        return []  # the best possible score is not known
    found = []
    for (name, vary), points in curves_of(plan, cells).items():
        if len(points) < MIN_SIZES:
            continue
        known: dict[str, Any] = {key: plan[key] for key in ("smaller_is_better", "is_share")}
        largest = points[-1].n_train
        now = forecast(points, largest, **known).expected
        sign = -1 if plan["smaller_is_better"] else 1
        forecasts = [(more, forecast(points, largest + more, **known)) for more in (*MORE, largest)]
        found.append({
            "start": name, "vary": dict(vary), "n_train": largest, "mean": float(np.mean(points[-1].scores)),
            "forecasts": [{"more": more, **vars(one), "gain": sign * (one.expected - now)} for more, one in forecasts],
            "check": _check(points, known) if len(points) > MIN_SIZES else None})
    return found


def _check(points: Sequence[Point], known: Mapping[str, Any]) -> dict[str, Any]:
    found, actual = forecast(points[:-1], points[-1].n_train, **known), float(np.mean(points[-1].scores))
    return {**vars(found), "actual": actual, "inside": found.low <= actual <= found.high}


def curves_of(
    plan: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, tuple[tuple[str, Any], ...]], list[Point]]:
    """Return the points of each curve by its name and its varied keys, by increasing number of training examples."""
    vary = {condition["name"]: tuple(sorted(condition["vary"].items())) for condition in plan["conditions"]}
    found: dict[tuple[str, tuple[tuple[str, Any], ...]], list[Point]] = {}
    for cell in cells:
        scores = [score for score in cell["scores"] if score is not None]
        if scores and cell["n_train"]:
            found.setdefault((cell["start"], vary[cell["condition"]]), []).append(Point(cell["n_train"], scores))
    return {key: sorted({point.n_train: point for point in points}.values()) for key, points in found.items()}


def _spreads(scores: Sequence[Floats]) -> tuple[float, Floats]:
    """Estimate the standard deviation over seeds of all points and the prior, and that of each point relative to it."""
    freedoms = np.array([len(one) - 1 for one in scores], dtype=float)
    squares = np.array([np.sum((one - one.mean()) ** 2) for one in scores])
    pooled = (squares.sum() + SPREAD_DF * SPREAD**2) / (freedoms.sum() + SPREAD_DF)
    relative: Floats = np.sqrt((squares / pooled + SPREAD_DF) / (freedoms + SPREAD_DF))
    return math.sqrt(pooled), relative


def _log_prior(spread: float, estimate: float, counts: NDArray[np.int64]) -> float:
    """Return the log-probability of a standard deviation, given that within the points (scaled inverse chi-square)."""
    freedom = float((counts - 1).sum()) + SPREAD_DF
    return -freedom * math.log(spread) - freedom * estimate**2 / (2 * spread**2)


def _shapes(sizes: Floats, target: float) -> Floats:
    """Return f at the sizes and at the target, relative to its value at the last size; one row for each curve."""
    places = np.append(sizes, target)
    middle = math.exp(float(np.log(sizes).mean()))
    logs = [-power * np.log(places) for power in POWERS]
    logs += [-((places / (scale * middle)) ** power) for power in WEIBULL_POWERS for scale in WEIBULL_SCALES]
    relative = np.array(logs)
    shapes: Floats = np.exp(np.minimum(relative - relative[:, -2:-1], 50))
    return shapes


def _quantiles(values: Floats, log_weights: Floats, noises: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and the bounds of the 80% interval of a mixture of normal distributions.

    Args:
        values: means. *Shape:* ``(n_curves,)``, float64.
        log_weights: log-weight for each standard deviation and mean. *Shape:* ``(n_spreads, n_curves)``, float64.
        noises: the standard deviations.
    """
    from scipy.special import ndtr

    weights = np.exp(log_weights - log_weights.max())
    kept = weights.max(axis=0) > 1e-7
    values, weights = values[kept], weights[:, kept]
    margin = 4 * max(noises)
    edges = np.linspace(values.min() - margin, values.max() + margin, N_BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    cumulated = np.zeros(N_BINS + 1)
    for of_spread, noise in zip(weights, noises, strict=True):
        histogram, _ = np.histogram(values, edges, weights=of_spread)
        cumulated += ndtr((edges[:, None] - centres) / noise) @ histogram
    wanted = np.array([0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2]) * cumulated[-1]
    median, low, high = np.interp(wanted, cumulated, edges)
    return float(median), float(low), float(high)
