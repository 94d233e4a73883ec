"""Errors of the pipeline that the user can correct."""

from __future__ import annotations

from typing import Any


def brief(value: Any, limit: int = 100) -> str:
    """Return ``repr(value)`` for a message, with at most about ``limit`` characters."""
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits; nested too deeply
        shown = f"a value of type {type(value).__name__}"
    return shown if len(shown) <= limit else f"{shown[:limit]}… ({len(shown):,} characters)"


class PipelineError(ValueError):
    """Base class of the errors of the pipeline."""


class ConfigError(PipelineError):
    """The configuration has an invalid key or value."""


class DataError(PipelineError):
    """The data cannot be read or used."""


class TextsError(DataError, TypeError):
    """A list of texts is not one, or has something other than texts in it."""


class RunFolderError(PipelineError):
    """A run folder already exists, is unfinished, damaged, or not a run folder."""


class ExportError(PipelineError):
    """The run has no equivalent in another library, or the target of the export already exists."""
