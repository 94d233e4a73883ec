"""Baselines, one file per task: if one of them is better than the Transformer, use it."""

from pipeline.baselines.classification import MeanVectors, majority, on_mean_vectors, tfidf

__all__ = ["MeanVectors", "majority", "on_mean_vectors", "tfidf"]
