"""The errors of stage two."""

from __future__ import annotations


class TransformerError(ValueError):
    """Something about a model or its training that the user can mend."""


class CheckpointError(TransformerError):
    """Weights on disk that are missing or do not fit the model."""


class DivergedError(TransformerError):
    """Training met a loss that is not a finite number."""
