"""Simpler models to compare with, a file a task: if one of them wins, use that."""

from pipeline.baselines.classification import MeanVectors, majority, on_mean_vectors, tfidf

__all__ = ["MeanVectors", "majority", "on_mean_vectors", "tfidf"]
