"""Measures of multi-label classification, and thresholds tuned on dev."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class LabelSetCounts(NamedTuple):
    """How many examples have each label, and for how many it is predicted, and predicted correctly.

    Attributes:
        labels: the labels that are gold or predicted, sorted.
        support: number of examples with the label. *Shape:* ``(n_labels,)``, int64, like the following.
        predicted: number of predictions of the label.
        correct: number of correct predictions of the label.
    """

    labels: Sequence[str]
    support: NDArray[np.int64]
    predicted: NDArray[np.int64]
    correct: NDArray[np.int64]


def count_labels(gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]]) -> LabelSetCounts:
    """Count gold and predicted labels of examples with any number of labels."""
    labels = sorted({label for side in (gold, predicted) for labels in side for label in labels})
    number = {label: i for i, label in enumerate(labels)}
    both = [set(true) & set(found) for true, found in zip(gold, predicted, strict=True)]
    return LabelSetCounts(labels, *(_counts(sets, number) for sets in (gold, predicted, both)))


def label_set_measures(gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]]) -> dict[str, Any]:
    """Compare sets of labels.

    Args:
        gold: the labels of each example.
        predicted: the predicted labels of each example.

    Returns:
        ``micro_f1`` over all labels of all examples, ``macro_f1`` over the gold and predicted labels,
        ``subset_accuracy``, the share of examples with exactly the gold labels, and ``n``. A quotient of zeros is 0, as
        in scikit-learn.
    """
    counts = count_labels(gold, predicted)
    exact = [set(true) == set(found) for true, found in zip(gold, predicted, strict=True)]
    f1 = _ratio(2 * counts.correct, counts.predicted + counts.support)
    return {
        "micro_f1": float(_ratio(2 * counts.correct.sum(), counts.predicted.sum() + counts.support.sum())),
        "macro_f1": float(f1.mean()) if len(f1) else 0.0,
        "subset_accuracy": float(np.mean(exact)) if exact else 0.0,
        "n": len(exact),
    }


def measures_by_label(
    gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]]
) -> dict[str, dict[str, Any]]:
    """Compute ``precision``, ``recall``, ``f1`` and ``support`` (number of examples) of each label."""
    counts = count_labels(gold, predicted)
    columns = (_ratio(counts.correct, counts.predicted), _ratio(counts.correct, counts.support),
               _ratio(2 * counts.correct, counts.predicted + counts.support), counts.support)
    return {label: {"precision": precision, "recall": recall, "f1": f1, "support": support}
            for label, precision, recall, f1, support in zip(counts.labels, *(column.tolist() for column in columns),
                                                             strict=True)}


def example_f1(gold: Collection[str], predicted: Collection[str]) -> float:
    """Compute the F1 of the labels of one example; 1 if both sets are empty."""
    if not gold and not predicted:
        return 1.0
    return 2 * len(set(gold) & set(predicted)) / (len(set(gold)) + len(set(predicted)))


def cross_entropy(probabilities: ArrayLike, gold: ArrayLike) -> float:
    """Compute the mean binary cross-entropy in nats over all labels of all examples.

    Args:
        probabilities: probability of each label. *Shape:* ``(n, n_labels)``.
        gold: whether each example has each label. *Shape:* ``(n, n_labels)``, bool.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    of_gold = np.where(np.asarray(gold), p, 1 - p)
    return float(-np.log(np.maximum(of_gold, 1e-12)).mean()) if of_gold.size else 0.0


def common_threshold(probabilities: ArrayLike, gold: ArrayLike) -> float:
    """Return the one threshold for all labels with the best micro-F1. Arguments: see :func:`cross_entropy`."""
    return _best_threshold(np.ravel(probabilities), np.ravel(gold))


def label_thresholds(probabilities: ArrayLike, gold: ArrayLike) -> list[float]:
    """Return the threshold with the best F1 for each label; 0.5 for a label that no example has.

    Arguments: see :func:`cross_entropy`.
    """
    p, hit = np.asarray(probabilities, dtype=np.float64), np.asarray(gold, dtype=bool)
    return [_best_threshold(p[:, i], hit[:, i]) for i in range(p.shape[1])]


def _best_threshold(scores: Floats, gold: NDArray[np.bool_]) -> float:
    """Return the threshold above which predictions have the best F1: halfway between two neighbouring scores.

    Of thresholds with the same F1, the greatest is returned.
    """
    n_gold = int(gold.sum())
    if not n_gold:
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], gold[order].cumsum()
    following = np.append(ordered[1:], 0.0)
    f1 = 2 * hits / (np.arange(1, len(ordered) + 1) + n_gold)
    f1[:-1][ordered[:-1] == following[:-1]] = 0.0  # equal scores are on one side of a threshold
    best = int(f1.argmax())
    return float((ordered[best] + following[best]) / 2)


def _counts(sets: Sequence[Collection[str]], number: dict[str, int]) -> NDArray[np.int64]:
    ids = [number[label] for labels in sets for label in set(labels)]
    return np.bincount(np.array(ids, dtype=np.int64), minlength=len(number))


def _ratio(part: Any, whole: Any) -> Any:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)
