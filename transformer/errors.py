"""Errors of the ``transformer`` package."""

from __future__ import annotations


class TransformerError(ValueError):
    """An error in a model or its training that the user can correct."""


class CheckpointError(TransformerError):
    """Weights on disk that are missing, damaged, or do not match the model."""


class DivergedError(TransformerError):
    """A loss or gradient that is not finite."""
