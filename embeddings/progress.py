"""How long work tells how far it has come: a function that is called, so that nothing here knows of terminals."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


def silent(_what: str, _share: float) -> None:
    """Report no progress."""
