"""The driver's errors: what a user can mend, with the words that say how."""

from __future__ import annotations


class PipelineError(ValueError):
    """Something about a run that the user can mend."""


class ConfigError(PipelineError):
    """A configuration with a wrong key or value."""


class DataError(PipelineError):
    """Labelled data that cannot be read or used."""


class RunFolderError(PipelineError):
    """A run's folder that is in the way, unfinished, or not one."""


class ExportError(PipelineError):
    """A run that another library has no form for, or an export that is in the way."""
