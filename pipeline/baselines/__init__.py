"""Baselines, one file per task: if one of them is better than the Transformer, use it."""

from pipeline.baselines.classification import (
    MeanVectors,
    logistic_regression_on_means,
    majority,
    nearest_centroid,
    tfidf,
    tfidf_chars,
)
from pipeline.baselines.hashed_ngrams import hashed_ngrams

__all__ = ["MeanVectors", "hashed_ngrams", "logistic_regression_on_means", "majority", "nearest_centroid", "tfidf",
           "tfidf_chars"]
