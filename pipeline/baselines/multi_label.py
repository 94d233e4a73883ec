"""Baselines for multi-label classification: the most frequent label, and logistic regression for each label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def most_frequent(gold: Sequence[Collection[str]], n: int) -> list[list[str]]:
    """Return the most frequent label of the training examples, ``n`` times."""
    counts = Counter(label for labels in gold for label in sorted(labels))
    return [[min(counts, key=lambda label: (-counts[label], label))]] * n


def one_vs_rest(
    train: Any, gold: NDArray[np.bool_], parts: Sequence[Any], *, features: Any, **settings: Any
) -> list[Floats]:
    """Predict the probability of each label by a separate logistic regression (one-vs-rest).

    A label that all or no training examples have is predicted with probability 1 or 0.

    Args:
        train: training examples, as ``features`` accepts them.
        gold: whether each training example has each label. *Shape:* ``(n_train, n_labels)``, bool.
        parts: sets of examples to predict for.
        features: scikit-learn transformer that converts examples to vectors.
        settings: arguments of :class:`sklearn.linear_model.LogisticRegression`.

    Returns:
        The probabilities for each part. *Shape:* ``(n, n_labels)``, float64.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        inputs = features.fit_transform(train)
        others = [features.transform(part) if len(part) else None for part in parts]
        found = [np.zeros((len(part), gold.shape[1])) for part in parts]
        for i in range(gold.shape[1]):
            if gold[:, i].all() or not gold[:, i].any():
                for probabilities in found:
                    probabilities[:, i] = float(gold[:, i].all())
                continue
            model = LogisticRegression(**settings).fit(inputs, gold[:, i])  # not kept: its weights are those of a label
            for other, probabilities in zip(others, found, strict=True):
                if other is not None:
                    probabilities[:, i] = model.predict_proba(other)[:, 1]
    return found
