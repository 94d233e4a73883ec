"""Names of arguments in messages: options in a command of ``vecformer``, arguments in a program.

A message states what to change. ``argument("out")`` is ``--out`` on the command line and ``out=`` in Python, so that
the name is valid in both. A test requires that messages name options by these functions only.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

_NUMBER = re.compile(r"[0-9.]+")

_is_command_line = False


@contextmanager
def for_command_line(is_command_line: bool = True) -> Iterator[None]:
    """Name options of the command line inside the block, in every thread."""
    global _is_command_line
    before = _is_command_line
    _is_command_line = is_command_line
    try:
        yield
    finally:
        _is_command_line = before


def is_for_command_line() -> bool:
    """Whether messages name options of the command line; processes that are started for a command need it."""
    return _is_command_line


def either(command_line: str, python: str) -> str:
    """Return the text for the command line, or that for Python."""
    return command_line if _is_command_line else python


def argument(name: str, value: str = "") -> str:
    """Name an argument, with a value or a placeholder in capitals.

    Example:
        >>> argument("label_column", "NAME"), argument("out"), argument("task", "multi-label")
        ('label_column=NAME', 'out=', 'task="multi-label"')
        >>> with for_command_line():
        ...     print(argument("label_column", "NAME"))
        --label-column NAME
    """
    option = f"--{name.replace('_', '-')}"
    shown = value if not value or value.isupper() or _NUMBER.fullmatch(value) else f'"{value}"'
    return either(f"{option} {shlex.quote(value)}" if value else option, f"{name}={shown}")


def flag(name: str) -> str:
    """Name an argument that is set.

    Example:
        >>> flag("overwrite")
        'overwrite=True'
    """
    return either(f"--{name.replace('_', '-')}", f"{name}=True")


def setting(assignment: str) -> str:
    """Name the value of a key of the configuration.

    Example:
        >>> setting("ngrams.enabled=true")
        'ngrams.enabled=true'
        >>> with for_command_line():
        ...     print(setting("ngrams.enabled=true"))
        --set ngrams.enabled=true
    """
    return either(f"--set {shlex.quote(assignment)}", assignment)
