"""A small model that ranks sources by their features: the Plackett-Luce model of rankings.

The score of a source is linear in its features. The probability that a source is the best of several is the softmax of
their scores; the second best is the best of the rest, and so on (Plackett 1975, "The Analysis of Permutations"). The
scores do not depend on which other sources are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.benchmark.forecast.stored_runs import Forecastable

PENALTY = 1.0  # of the squared weights, per feature in units of its standard deviation within a setting


@dataclass(frozen=True)
class ChoiceModel:
    """A fitted model.

    Attributes:
        names: names of the features.
        weights: score per unit of each feature. *Shape:* ``(n_features,)``, float64.
        low: least value of each feature in the fitted settings; smaller ones count as this. *Shape:* ``(n_features,)``.
        high: greatest value of each feature, likewise.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def scores(self, features: Sequence[Any]) -> NDArray[np.float64]:
        """Compute the scores of sources from their features. *Shape:* ``(n_sources,)``, float64."""
        return matrix(features, self.names).clip(self.low, self.high) @ self.weights

    def probabilities(self, features: Sequence[Any]) -> NDArray[np.float64]:
        """Compute the probability of each source to be the best of these. *Shape:* ``(n_sources,)``, float64."""
        from scipy.special import softmax

        return np.asarray(softmax(self.scores(features)))


def matrix(features: Sequence[Any], names: Sequence[str]) -> NDArray[np.float64]:
    """Return features as rows. *Shape:* ``(n_sources, n_features)``, float64."""
    return np.array([[one[name] for name in names] for one in features], dtype=np.float64)


def fit(settings: Sequence[Forecastable], names: Sequence[str], *, penalty: float = PENALTY) -> ChoiceModel:
    """Fit the weights to the observed rankings by penalised maximum likelihood.

    Args:
        settings: features of the sources and their scores in a benchmark.
        names: the features to use.
        penalty: penalty of the squared weights.
    """
    from scipy.optimize import minimize

    ranked = [matrix([one.features[source] for source in one.ranking], names) for one in settings]
    spread = np.sqrt(np.mean([rows.var(axis=0) for rows in ranked], axis=0))
    scale = np.where(spread > 1e-9, spread, np.inf)  # a feature without differences gets no weight
    together = np.concatenate(ranked)
    sizes = {len(rows) for rows in ranked}
    groups = [np.array([rows / scale for rows in ranked if len(rows) == size]) for size in sizes]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total, gradient = penalty * float(weights @ weights) / 2, penalty * weights
        for rows in groups:                                                     # (n_settings, n_sources, n_features)
            scores = rows @ weights                                                         # (n_settings, n_sources)
            of_rest = np.logaddexp.accumulate(scores[:, ::-1], axis=1)[:, ::-1]  # from each place to the last
            chosen = np.triu(np.exp(np.minimum(scores[:, None, :] - of_rest[:, :, None], 0)))  # at each place
            total += float((of_rest - scores).sum())
            gradient = gradient + np.einsum("nps,nsf->f", chosen, rows) - rows.sum(axis=(0, 1))
        return total, gradient

    found = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B")
    return ChoiceModel(tuple(names), found.x / scale, together.min(axis=0), together.max(axis=0))
