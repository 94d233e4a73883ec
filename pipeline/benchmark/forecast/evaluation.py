"""How often forecasts are correct: leave one data set out, all its numbers of labels and draws together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.benchmark.analysis.statistics import paired
from pipeline.benchmark.forecast.choice_model import ChoiceModel, fit
from pipeline.benchmark.forecast.features import WITH_LABELS, WITHOUT_LABELS
from pipeline.benchmark.forecast.stored_runs import Forecastable

CLOSE = 0.01  # a source within this distance of the best one, as a share
LEVEL = 0.95


@dataclass(frozen=True)
class HitRate:
    """How often the first source of a forecast was the best one.

    Attributes:
        hits: forecasts whose first source had the best mean score.
        n: number of forecasts.
        interval: 95% confidence interval of the hit rate, which takes into account that the forecasts for one data set
            are not independent.
        close: forecasts whose first source was within one percentage point of the best.
        loss: mean difference between the best source and the first one, as a share.
    """

    hits: int
    n: int
    interval: tuple[float, float]
    close: int
    loss: float

    @property
    def rate(self) -> float:
        """Share of the forecasts that were correct."""
        return self.hits / self.n

    def to_dict(self) -> dict[str, Any]:
        """Return the values, JSON-serialisable."""
        return {**asdict(self), "rate": self.rate}


Forecaster = Callable[[Sequence[Forecastable], Forecastable], str]


def model_features(*, labels: bool) -> tuple[str, ...]:
    """Return the features of the model for texts with or without labels."""
    return (*WITH_LABELS, *WITHOUT_LABELS) if labels else WITHOUT_LABELS


def evaluate(settings: Sequence[Forecastable], *, labels: bool = True) -> dict[str, Any]:
    """Evaluate the forecast, and compare it with a fixed order of the sources, by leaving one data set out.

    Returns:
        ``forecast`` and ``fixed`` (:class:`HitRate` as a dictionary), ``chance`` (hit rate of a random order),
        ``probability`` (mean probability that the forecasts give to their first source), ``difference`` (of the hit
        rates, with ``interval`` and ``p`` over the data sets), ``n_data``, ``n_settings``, ``n_sources``.
    """
    first, fixed, probabilities = {}, {}, []
    for data in dict.fromkeys(one.data for one in settings):
        rest = [one for one in settings if one.data != data]
        model, order = fit(rest, model_features(labels=labels)), fixed_order(rest)
        for number, one in enumerate(settings):
            if one.data == data:
                found = forecast_of(model, one)
                first[number], probability = max(found.items(), key=lambda item: item[1])
                fixed[number] = next(source for source in order if source in one.scores)
                probabilities.append(probability)
    forecast_hits, fixed_hits = (per_data(settings, chosen) for chosen in (first, fixed))
    difference = paired([float(np.mean(forecast_hits[data])) - float(np.mean(fixed_hits[data]))
                         for data in forecast_hits])
    return {
        "forecast": hit_rate(settings, first).to_dict(), "fixed": hit_rate(settings, fixed).to_dict(),
        "chance": float(np.mean([1 / len(one.scores) for one in settings])),
        "probability": float(np.mean(probabilities)),
        "difference": {"mean": difference.mean, "interval": difference.interval, "p": difference.p},
        "n_data": len(forecast_hits), "n_settings": len({(one.data, one.n_labels) for one in settings}),
        "n_sources": max(len(one.scores) for one in settings),
    }


def forecast_of(model: ChoiceModel, one: Forecastable) -> dict[str, float]:
    """Return the probability of each source to be the best."""
    sources = list(one.features)
    return dict(zip(sources, model.probabilities([one.features[source] for source in sources]).tolist(), strict=True))


def fixed_order(settings: Sequence[Forecastable]) -> list[str]:
    """Return the sources by their mean rank in these settings, the best first."""
    ranks: dict[str, list[int]] = defaultdict(list)
    for one in settings:
        for rank, source in enumerate(one.ranking):
            ranks[source].append(rank)
    return sorted(ranks, key=lambda source: (np.mean(ranks[source]), source))


def per_data(settings: Sequence[Forecastable], chosen: Mapping[int, str]) -> dict[str, list[bool]]:
    """Return for each data set whether the chosen sources were the best."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for number, source in chosen.items():
        hits[settings[number].data].append(settings[number].scores[source] == max(settings[number].scores.values()))
    return hits


def hit_rate(settings: Sequence[Forecastable], chosen: Mapping[int, str]) -> HitRate:
    """Count how often the chosen sources were the best."""
    losses = [max(settings[number].scores.values()) - settings[number].scores[source]
              for number, source in chosen.items()]
    hits = list(per_data(settings, chosen).values())
    return HitRate(sum(map(sum, hits)), len(losses), clustered_interval(hits),
                   sum(loss <= CLOSE + 1e-9 for loss in losses), float(np.mean(losses)))


def clustered_interval(clusters: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """Compute a confidence interval of a proportion from clusters of observations that depend on one another.

    The interval of Clopper and Pearson with the effective sample size of the design (Korn & Graubard 1998, "Confidence
    Intervals for Proportions with Small Expected Number of Positive Counts Estimated from Survey Data"). If all
    observations are equal, the effective sample size is the number of clusters.

    Args:
        clusters: the observations of each cluster.
    """
    from scipy.stats import beta, t

    n, n_clusters = sum(map(len, clusters)), len(clusters)
    rate = sum(map(sum, clusters)) / n
    effective = float(n_clusters)
    if n_clusters > 1 and 0 < rate < 1:
        residuals = [sum(cluster) - rate * len(cluster) for cluster in clusters]
        variance = n_clusters / (n_clusters - 1) * sum(value**2 for value in residuals) / n**2
        simple = rate * (1 - rate) / n
        effect = max(1.0, variance / simple)
        quantile = 1 - (1 - LEVEL) / 2
        effective = n / effect * (t.ppf(quantile, n - 1) / t.ppf(quantile, n_clusters - 1)) ** 2
    hits, tail = rate * effective, (1 - LEVEL) / 2
    low = float(beta.ppf(tail, hits, effective - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, effective - hits)) if hits < effective else 1.0
    return (low, high) if not math.isnan(low + high) else (0.0, 1.0)
