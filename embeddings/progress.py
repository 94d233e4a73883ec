"""Progress callbacks: long operations call a function, so that this package needs no terminal."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with a description of the operation and its completed fraction, 0 to 1."""

FractionCallback = Callable[[float], None]
"""Called with the completed fraction of one operation, 0 to 1."""


def silent(_what: str, _fraction: float) -> None:
    """Ignore progress."""


def ignore_fraction(_fraction: float) -> None:
    """Ignore the progress of one operation."""
