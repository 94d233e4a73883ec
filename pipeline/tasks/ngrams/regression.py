"""Logistic regression of each label against the rest, on TF-IDF with columns weighted by relevance to the label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.tokenization.ngrams import Sparse
from pipeline.baselines.linear import LIBLINEAR, fitted
from pipeline.tasks.resolved import Setup

CANDIDATES = (1.0, 3.0, 10.0)  # values of C that cross-validation compares
WITHOUT_CHOICE = 10.0          # C with too few or too long texts for it
FOLDS = 3
SMALLEST = 200                 # number of texts from which C is chosen
MAX_ENTRIES = 4_000_000        # n-grams of all texts up to which C is chosen


@dataclass(frozen=True)
class Regression:
    """Logistic regression of each label against the rest, with the weights of :func:`relevance`.

    The log-odds of the labels are the logits of the branch.

    Args:
        label_weights: weight of each label in the loss. *Shape:* ``(n_labels,)``.
        regularization: inverse of the strength of the regularisation, C of scikit-learn; 0 chooses it.
        seed: seed of the solver and of the folds.
    """

    label_weights: NDArray[np.float64]
    regularization: float
    seed: int

    @classmethod
    def of(cls, setup: Setup[Any]) -> Regression:
        """Return the regression of a run, with the regularisation that was configured or has been chosen."""
        chosen = setup.config.ngrams.regularization or setup.resolved.ngram_regularization
        return cls(weights_of_labels(setup), chosen, setup.config.seed)

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

        It is 10 with fewer than 200 texts or fewer than three of a label, and if the texts have so many n-grams that
        the choice would take minutes.
        """
        from sklearn.model_selection import StratifiedKFold

        smallest_label = np.bincount(gold)[np.unique(gold)].min()
        if len(gold) < SMALLEST or rows.nnz > MAX_ENTRIES or smallest_label < FOLDS:
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
        chosen = present[1:] if len(present) == 2 else present
        found = [self._one_against_rest(rows, gold, label, c) for label in chosen]
        coefficients, bias = np.stack([one for one, _ in found], axis=1), np.array([one for _, one in found])
        if len(present) == 2:  # the log-odds of the second label
            coefficients, bias = np.concatenate([-coefficients, coefficients], axis=1) / 2, np.array([-0.5, 0.5]) * bias
        return coefficients, bias

    def _one_against_rest(
        self, rows: Sparse, gold: NDArray[np.int64], label: int, c: float
    ) -> tuple[NDArray[np.float64], float]:
        """Return the coefficients, *shape* ``(n_columns,)``, and the bias of the log-odds of one label."""
        is_label = gold == label                                                            # (n_texts,)
        relevant = relevance(rows, is_label)                                                # (n_columns,)
        model = fitted(_scaled(rows, relevant), is_label, sample_weight=self.label_weights[gold], C=c,
                       random_state=self.seed, **LIBLINEAR)
        return model.coef_[0] * relevant, float(model.intercept_[0])


def weights_of_labels(setup: Setup[Any]) -> NDArray[np.float64]:
    """Return the weight of each label in the loss. *Shape:* ``(n_labels,)``, float64."""
    return np.array(setup.resolved.label_weights or [1.0] * len(setup.resolved.labels))


def relevance(rows: Sparse, is_label: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how much the presence of each column tells about a label.

    It is the square root of the absolute log-count ratio of the column (Wang & Manning 2012, "Baselines and Bigrams"):
    of its share of the entries in the texts of the label to that in the other texts. The root measured better than the
    ratio itself.

    Args:
        rows: *Shape:* ``(n_texts, n_columns)``.
        is_label: whether each text has the label. *Shape:* ``(n_texts,)``, bool.

    Returns:
        *Shape:* ``(n_columns,)``, float64.
    """
    inside, outside = (_log_share(rows[texts].indices, rows.shape[1]) for texts in (is_label, ~is_label))
    relevant: NDArray[np.float64] = np.sqrt(np.abs(inside - outside))
    return relevant


def _log_share(columns: NDArray[np.int32], n_columns: int) -> NDArray[np.float64]:
    """Return the logarithm of each column's share of the entries, with 1 added to each. *Shape:* ``(n_columns,)``."""
    smoothed = np.bincount(columns, minlength=n_columns) + 1.0                              # (n_columns,)
    logs: NDArray[np.float64] = np.log(smoothed / smoothed.sum())
    return logs


def _scaled(rows: Sparse, factors: NDArray[np.float64]) -> Sparse:
    """Multiply each column by a factor."""
    from scipy.sparse import csr_matrix

    return csr_matrix((rows.data * factors[rows.indices].astype(rows.data.dtype), rows.indices, rows.indptr),
                      shape=rows.shape)
