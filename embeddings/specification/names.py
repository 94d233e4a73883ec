"""Names of files that are not UTF-8, in JSON, TOML and pages, which cannot contain them."""

from __future__ import annotations

import os


def printable(name: str) -> str:
    r"""Return a name in which each byte that is not UTF-8 is written like ``\xe9``; other names are unchanged."""
    return name if is_valid(name) else os.fsencode(name).decode("utf-8", "backslashreplace")


def is_valid(name: str) -> bool:
    """Return whether a name can be written as UTF-8."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)
