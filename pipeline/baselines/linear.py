"""Logistic regression and TF-IDF with scikit-learn, baselines of several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def logistic_regression(train: Any, labels: Sequence[str], test: Any, *, features: Any, **settings: Any) -> list[str]:
    """Predict labels by logistic regression.

    BLAS is limited to one thread, because synchronising threads takes longer than the small matrix products.

    Args:
        train: training examples, as ``features`` accepts them.
        labels: one label for each training example.
        test: test examples.
        features: scikit-learn transformer that converts examples to vectors.
        settings: arguments of :class:`sklearn.linear_model.LogisticRegression`.

    Raises:
        ValueError: raised by scikit-learn, for example if all training examples have the same label.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        model = make_pipeline(features, LogisticRegression(**settings)).fit(train, labels)
        return list(map(str, model.predict(test)))


def tfidf_features() -> Any:
    """Return a transformer that converts texts to TF-IDF of unigrams and bigrams."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")
