"""Logistic regression by scikit-learn, which several tasks have as a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def logistic_regression(train: Any, labels: Sequence[str], test: Any, *, features: Any, **settings: Any) -> list[str]:
    """Labels of ``test`` by logistic regression on what ``features`` makes of the examples.

    Its vectors are short and its steps many: BLAS gets one thread, since to wait for a second one at each of them takes
    longer than the arithmetic.

    Args:
        train: examples as ``features`` takes them.
        labels: one for each of these.
        test: further examples.
        features: a transformer of scikit-learn.
        settings: of :class:`sklearn.linear_model.LogisticRegression`.

    Raises:
        ValueError: scikit-learn's, as of training examples that all have one label.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        model = make_pipeline(features, LogisticRegression(**settings)).fit(train, labels)
        return list(map(str, model.predict(test)))
