"""The errors of stage one: each message says what is wrong, where, and what to do about it."""

from __future__ import annotations


class EmbeddingError(ValueError):
    """Something about words, text or vectors that the user can mend."""


class SpecificationError(EmbeddingError):
    """A source specification that cannot be read, such as ``glvoe`` or ``word2vec,dims=100``."""


class VectorFileError(EmbeddingError):
    """A vector file that is missing, empty or broken; the message names the line."""


class CorpusError(EmbeddingError):
    """Plain text for stage one that is missing, empty or not UTF-8."""
