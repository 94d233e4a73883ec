"""Logistic regression on TF-IDF whose columns are weighted by how much they tell about the label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.tokenization.ngrams import Sparse
from pipeline.baselines.linear import SAGA, fitted
from pipeline.tasks.resolved import Setup

CANDIDATES = (1.0, 3.0, 10.0)  # values of C that cross-validation compares
WITHOUT_CHOICE = 10.0          # C with too few or too many texts for it
FOLDS = 3
SMALLEST, LARGEST = 200, 10_000  # numbers of texts with which C is chosen


@dataclass(frozen=True)
class Regression:
    """Logistic regression with the solver SAGA (Defazio et al. 2014) and the weights of :func:`relevance`.

    Args:
        label_weights: weight of each label in the loss. *Shape:* ``(n_labels,)``.
        regularization: inverse of the strength of the regularisation, C of scikit-learn; 0 chooses it.
        seed: seed of the solver and of the folds.
    """

    label_weights: NDArray[np.float64]
    regularization: float
    seed: int

    @classmethod
    def of(cls, setup: Setup[Any], label_weights: NDArray[np.float64]) -> Regression:
        """Return the regression of a run."""
        return cls(label_weights, setup.config.ngrams.regularization, setup.config.seed)

    def fit(self, rows: Sparse, gold: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fit coefficients for the labels that occur.

        Args:
            rows: TF-IDF of the texts. *Shape:* ``(n_texts, n_columns)``.
            gold: number of the label of each text, of at least two labels. *Shape:* ``(n_texts,)``, int64.

        Returns:
            The coefficients, *shape* ``(n_columns, n_present)``, and the biases, *shape* ``(n_present,)``, in the order
            of the numbers of the labels.
        """
        return self._fit(rows, gold, self.regularization or self.chosen(rows, gold))

    def chosen(self, rows: Sparse, gold: NDArray[np.int64]) -> float:
        """Return the candidate with the smallest cross-entropy in cross-validation with three folds.

        With fewer than 200 texts, fewer than three of a label, or more than 10,000 texts, where the choice matters
        little and takes long, it is 10.
        """
        from sklearn.model_selection import StratifiedKFold

        smallest_label = np.bincount(gold)[np.unique(gold)].min()
        if not SMALLEST <= len(gold) <= LARGEST or smallest_label < FOLDS:
            return WITHOUT_CHOICE
        folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=self.seed).split(rows, gold))
        return min(CANDIDATES, key=lambda c: sum(self._loss(rows, gold, c, *fold) for fold in folds))

    def _loss(
        self, rows: Sparse, gold: NDArray[np.int64], c: float, train: NDArray[np.int64], test: NDArray[np.int64]
    ) -> float:
        """Return the summed cross-entropy of the texts ``test`` by a model of the texts ``train``."""
        from scipy.special import log_softmax

        weight, bias = self._fit(rows[train], gold[train], c)
        logs = log_softmax(rows[test] @ weight + bias, axis=1)                              # (n_test, n_labels)
        column = np.searchsorted(np.unique(gold), gold[test])                               # (n_test,)
        return -float((self.label_weights[gold[test]] * logs[np.arange(len(test)), column]).sum())

    def _fit(
        self, rows: Sparse, gold: NDArray[np.int64], c: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        present = np.unique(gold)                                                           # (n_present,)
        relevant = relevance(rows, gold)                                                    # (n_columns,)
        model = fitted(_scaled(rows, relevant), gold, C=c, random_state=self.seed,
                       class_weight={i: self.label_weights[i] for i in present.tolist()}, **SAGA)
        coefficients, bias = model.coef_, model.intercept_
        if len(present) == 2:  # scikit-learn has the log-odds of the second label
            coefficients, bias = np.concatenate([-coefficients / 2, coefficients / 2]), np.array([-0.5, 0.5]) * bias
        return (coefficients * relevant).T, bias


def relevance(rows: Sparse, gold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how much the presence of each column tells about the label.

    It is the square root of the mean, over labels, of the absolute log-count ratio of the column (Wang & Manning 2012,
    "Baselines and Bigrams"): of its share of the entries in the texts of the label to that in the other texts. The
    root measured better than the ratio itself.

    Args:
        rows: *Shape:* ``(n_texts, n_columns)``.
        gold: number of the label of each text. *Shape:* ``(n_texts,)``, int64.

    Returns:
        *Shape:* ``(n_columns,)``, float64.
    """
    in_all = np.bincount(rows.indices, minlength=rows.shape[1])                             # (n_columns,)
    ratios = (np.abs(_log_share(counts) - _log_share(in_all - counts)) for counts in _by_label(rows, gold))
    relevant: NDArray[np.float64] = np.sqrt(sum(ratios, np.zeros(rows.shape[1])) / len(np.unique(gold)))
    return relevant


def _by_label(rows: Sparse, gold: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
    """Yield, for each label, the number of its texts that have an entry in each column. *Shape:* ``(n_columns,)``."""
    for label in np.unique(gold):
        yield np.bincount(rows[gold == label].indices, minlength=rows.shape[1])


def _log_share(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logarithm of each count's share of all, with 1 added to each. *Shape:* ``(n_columns,)``."""
    smoothed = counts + 1.0
    logs: NDArray[np.float64] = np.log(smoothed / smoothed.sum())
    return logs


def _scaled(rows: Sparse, factors: NDArray[np.float64]) -> Sparse:
    """Multiply each column by a factor."""
    from scipy.sparse import csr_matrix

    return csr_matrix((rows.data * factors[rows.indices].astype(rows.data.dtype), rows.indices, rows.indptr),
                      shape=rows.shape)
