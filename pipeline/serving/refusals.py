"""Answers with an error: their status and message."""

from __future__ import annotations

import re

from pipeline.drawing.terminal import bounded, visible

INTERNAL = "the server failed to answer; its log has the reason"
MAX_MESSAGE = 500  # characters
NOT_PUBLIC = re.compile(r"(?:^|[\s'\"(:=])(?:/|~/|[A-Za-z]:\\|\\\\|--[a-z])|\.(?:py|toml|json|safetensors)\b")


class RefusedError(Exception):
    """A request that is not answered.

    Attributes:
        status: HTTP status.
        message: what is wrong, and what to do.
        retry_after: seconds after which the client may try again; None for an error that would occur again.
    """

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def public_message(error: Exception) -> str:
    """Return the message of an error of the packages; messages with a path or a command-line option are replaced.

    Args:
        error: an error about the input of a request.
    """
    message = str(error)
    if has_path(message):
        return "the model of this run cannot process this input"
    return visible(bounded(message, MAX_MESSAGE))


def has_path(message: str) -> bool:
    """Whether a message has a path or a command-line option."""
    return NOT_PUBLIC.search(message) is not None
