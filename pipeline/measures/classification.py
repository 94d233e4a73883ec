"""Measures of classification: accuracy, F1, agreement beyond chance, precision and recall by label, calibration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Bin(NamedTuple):
    """A point of the reliability diagram: the predictions with similar probabilities.

    Attributes:
        confidence: mean probability.
        accuracy: share of correct predictions.
        n: number of predictions.
    """

    confidence: float
    accuracy: float
    n: int


class LabelCounts(NamedTuple):
    """How often each label occurs, is predicted, and is predicted correctly.

    These counts take the place of a confusion matrix, whose size grows with the square of the number of labels.

    Attributes:
        labels: the labels that are gold or predicted, sorted.
        support: number of examples with the label. *Shape:* ``(n_labels,)``, int64, like the following.
        predicted: number of predictions of the label.
        correct: number of correct predictions of the label.
    """

    labels: tuple[str, ...]
    support: NDArray[np.int64]
    predicted: NDArray[np.int64]
    correct: NDArray[np.int64]

    @classmethod
    def of(cls, gold: Sequence[str], predicted: Sequence[str]) -> LabelCounts:
        """Count gold and predicted labels."""
        labels = sorted({*gold, *predicted})
        number = {label: i for i, label in enumerate(labels)}
        true, guessed = (np.array([number[label] for label in side], dtype=np.int64) for side in (gold, predicted))
        support, n_predicted, correct = (np.bincount(numbers, minlength=len(labels))
                                         for numbers in (true, guessed, true[true == guessed]))
        return cls(tuple(labels), support, n_predicted, correct)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the predictions of each label that are correct; 0 for a label that is never predicted."""
        return self.correct / np.maximum(self.predicted, 1)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the examples of each label that are found; 0 for a label without examples."""
        return self.correct / np.maximum(self.support, 1)

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall of each label."""
        f1: NDArray[np.float64] = 2 * self.correct / np.maximum(self.support + self.predicted, 1)
        return f1


def label_measures(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, Any]:
    """Compute the measures of predicted labels.

    Returns:
        ``accuracy``; ``macro_f1``, the mean of the F1 of the gold and predicted labels; ``balanced_accuracy``, the mean
        of the recall of the gold labels; ``mcc``, Matthews' correlation coefficient of several classes (Gorodkin
        2004); and ``n``, the number of examples. They equal those of scikit-learn.
    """
    counts = LabelCounts.of(gold, predicted)
    return {
        "accuracy": float(counts.correct.sum() / len(gold)),
        "macro_f1": float(counts.f1.mean()),
        "balanced_accuracy": float(counts.recall[counts.support > 0].mean()),
        "mcc": correlation(counts),
        "n": len(gold),
    }


def correlation(counts: LabelCounts) -> float:
    """Compute Matthews' correlation coefficient, -1 to 1; 0 if all gold or all predicted labels are equal."""
    n = int(counts.support.sum())
    support, predicted = (side.astype(np.float64) for side in (counts.support, counts.predicted))
    covariance = float(counts.correct.sum() * n - support @ predicted)
    variance = float(n**2 - support @ support) * float(n**2 - predicted @ predicted)
    return covariance / math.sqrt(variance) if variance else 0.0


def measures_by_label(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Compute ``precision``, ``recall``, ``f1`` and ``support`` (number of examples) of each label.

    Precision is 0 for a label that is never predicted, recall for one without examples.
    """
    counts = LabelCounts.of(gold, predicted)
    columns = (counts.precision, counts.recall, counts.f1, counts.support)
    return {label: {"precision": precision, "recall": recall, "f1": f1, "support": support}
            for label, precision, recall, f1, support in zip(counts.labels, *(column.tolist() for column in columns),
                                                             strict=True)}


def reliability_curve(confidences: ArrayLike, right: ArrayLike, *, n_bins: int = 15) -> list[Bin]:
    """Group predictions into bins of equal width by probability (Guo et al. 2017, section 2).

    Args:
        confidences: probability of each predicted label, 0 to 1. *Shape:* ``(n,)``.
        right: whether the label is correct. *Shape:* ``(n,)``, bool.
        n_bins: number of bins; bin ``i`` has the probabilities above ``i / n_bins``, up to ``(i + 1) / n_bins``.

    Returns:
        The non-empty bins in order of probability.
    """
    confidence, hit = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=np.float64)
    number = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], confidence)
    n = np.bincount(number, minlength=n_bins)
    sums = (np.bincount(number, weights=values, minlength=n_bins) for values in (confidence, hit))
    means = (total[n > 0] / n[n > 0] for total in sums)
    return [Bin(float(c), float(a), int(k)) for c, a, k in zip(*means, n[n > 0], strict=True)]


def expected_calibration_error(confidences: ArrayLike, right: ArrayLike, *, n_bins: int = 15) -> float:
    """Compute the expected calibration error (Guo et al. 2017, equation 3), 0 to 1.

    It is the mean of ``|accuracy - confidence|`` over bins, weighted by their size. Arguments: see
    :func:`reliability_curve`.
    """
    bins = reliability_curve(confidences, right, n_bins=n_bins)
    return sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / max(sum(one.n for one in bins), 1)


def confusion_matrix(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """Count gold labels (rows) by predicted label (columns). *Shape:* ``(n_labels, n_labels)``, int64."""
    number = {label: i for i, label in enumerate(labels)}
    return _counted([number[label] for label in gold], [number[label] for label in predicted], len(labels))


def condensed_confusion_matrix(
    gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str], n: int
) -> tuple[list[str], NDArray[np.int64]]:
    """Count gold labels by predicted label for the labels with the most errors; the rest is one row and column.

    Args:
        gold: gold labels.
        predicted: predicted labels.
        labels: all labels.
        n: number of labels with a row and a column of their own: those with the most errors, an error being one of its
            gold and of its predicted label; of equals the first.

    Returns:
        The chosen labels in the order of ``labels``, and the counts; the last row and column are those of all other
        labels together. *Shape:* ``(n + 1, n + 1)``, int64.
    """
    errors = Counter(label for pair in zip(gold, predicted, strict=True) if pair[0] != pair[1] for label in pair)
    chosen = sorted(sorted(range(len(labels)), key=lambda i: -errors[labels[i]])[:n])
    number = {labels[i]: row for row, i in enumerate(chosen)}
    rest = len(chosen)
    counts = _counted([number.get(label, rest) for label in gold], [number.get(label, rest) for label in predicted],
                      rest + 1)
    return [labels[i] for i in chosen], counts


def _counted(rows: Sequence[int], columns: Sequence[int], n: int) -> NDArray[np.int64]:
    counts = np.zeros((n, n), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts
