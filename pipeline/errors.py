"""Errors of the pipeline that the user can correct."""

from __future__ import annotations


class PipelineError(ValueError):
    """Base class of the errors of the pipeline."""


class ConfigError(PipelineError):
    """The configuration has an invalid key or value."""


class DataError(PipelineError):
    """The data cannot be read or used."""


class RunFolderError(PipelineError):
    """A run folder already exists, is unfinished, damaged, or not a run folder."""


class ExportError(PipelineError):
    """The run has no equivalent in another library, or the target of the export already exists."""
