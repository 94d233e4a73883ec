"""Limits of the server: what it accepts, and how long it waits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.errors import ConfigError


@dataclass(frozen=True)
class Limits:
    """Limits of requests, clients and queues.

    Attributes:
        max_body: maximum size of the body of a request, in bytes.
        max_texts: maximum number of texts in a request.
        max_characters: maximum length of a text or context, in characters.
        max_tokens: maximum number of generated tokens.
        max_waiting: maximum number of requests in the queue of a run.
        max_connections: maximum number of open connections.
        answer_seconds: maximum time between a request and its answer.
        client_seconds: time that a client has to send a request.

    Raises:
        ConfigError: if a limit is not a positive number.
    """

    max_body: int = 2**20
    max_texts: int = 256
    max_characters: int = 20_000
    max_tokens: int = 1_000
    max_waiting: int = 256
    max_connections: int = 1_000
    answer_seconds: float = 30.0
    client_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"{name} must be a positive number, not {value}")

    @property
    def max_drained(self) -> int:
        """Bytes of a body that is too large that are read and discarded, so that the client receives the answer."""
        return 2 * self.max_body
