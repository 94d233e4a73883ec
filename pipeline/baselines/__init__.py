"""Baselines, one file per task: if one of them is better than the Transformer, use it."""

from typing import TYPE_CHECKING, Any

from pipeline.baselines.classification import (
    MeanVectors,
    logistic_regression_on_means,
    majority,
    nearest_centroid,
    tfidf,
    tfidf_chars,
)

if TYPE_CHECKING:
    from pipeline.baselines.hashed_ngrams import hashed_ngrams

__all__ = ["MeanVectors", "hashed_ngrams", "logistic_regression_on_means", "majority", "nearest_centroid", "tfidf",
           "tfidf_chars"]


def __getattr__(name: str) -> Any:
    """Import the baseline that needs PyTorch on first use."""
    if name != "hashed_ngrams":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return importlib.import_module("pipeline.baselines.hashed_ngrams").hashed_ngrams
