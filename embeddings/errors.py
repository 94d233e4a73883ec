"""Exceptions of stage one; each message states the error, its location and the remedy."""

from __future__ import annotations


class EmbeddingError(ValueError):
    """An error in words, text or vectors that the user can correct."""


class SpecificationError(EmbeddingError):
    """An invalid source specification, such as ``glvoe`` or ``word2vec,dims=100``."""


class VectorFileError(EmbeddingError):
    """A missing, empty or broken vector file; the message names the line."""


class CompressedFileError(EmbeddingError):
    """A compressed file that is broken, expands without end, or whose compression is not supported."""


class CorpusError(EmbeddingError):
    """Plain text that is missing, empty or not UTF-8."""


class InUseError(EmbeddingError):
    """Another process is writing the same file or folder."""
