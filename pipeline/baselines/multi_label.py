"""Baselines for multi-label classification: the most frequent label, and logistic regression for each label."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.baselines.linear import COPIES, FLOAT64, fitted, fitting
from pipeline.baselines.selection import require_memory

COPIES_OF_PROBABILITIES = 2  # the probabilities, and whether each is above its threshold
Floats = NDArray[np.float64]


def most_frequent(gold: Sequence[Collection[str]], n: int) -> list[list[str]]:
    """Return the most frequent label of the training examples, ``n`` times."""
    counts = Counter(label for labels in gold for label in sorted(labels))
    return [[min(counts, key=lambda label: (-counts[label], label))]] * n


def one_vs_rest(
    train: Any, gold: NDArray[np.bool_], parts: Sequence[Any], *, features: Any, max_gb: float = math.inf,
    **settings: Any,
) -> list[Floats]:
    """Predict the probability of each label by a separate logistic regression (one-vs-rest).

    A label that all or no training examples have is predicted with probability 1 or 0.

    Args:
        train: training examples, as ``features`` accepts them.
        gold: whether each training example has each label. *Shape:* ``(n_train, n_labels)``, bool.
        parts: sets of examples to predict for.
        features: scikit-learn transformer that converts examples to vectors.
        max_gb: limit of the memory of the probabilities and of one fit, in GB.
        settings: arguments of :class:`sklearn.linear_model.LogisticRegression`.

    Returns:
        The probabilities for each part. *Shape:* ``(n, n_labels)``, float64.

    Raises:
        TooLargeError: if this needs more memory than ``max_gb``.
    """
    n_labels = gold.shape[1]
    with fitting():
        vectors = features.fit_transform(train)
        n_features, n_rows = vectors.shape[1], sum(map(len, parts))
        require_memory(FLOAT64 * (COPIES * (n_features + 1) + COPIES_OF_PROBABILITIES * n_rows * n_labels),
                       f"{n_labels:,} labels, {n_features:,} features, {n_rows:,} dev and test examples", max_gb)
        others = [features.transform(part) if len(part) else None for part in parts]
        found = [np.zeros((len(part), n_labels)) for part in parts]
        for i in range(n_labels):
            constant = gold[:, i].all() or not gold[:, i].any()
            model = None if constant else fitted(vectors, gold[:, i], **settings)
            for other, probabilities in zip(others, found, strict=True):
                if other is not None:
                    probabilities[:, i] = gold[0, i] if model is None else model.predict_proba(other)[:, 1]
    return found
