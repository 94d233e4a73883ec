"""The options ``--separator`` and ``--encoding`` of the commands that read files of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

F = TypeVar("F", bound=Callable[..., Any])


def text_format_options(default: str | None = "") -> Callable[[F], F]:
    """Return a decorator that adds the options.

    Args:
        default: what the command receives for an option that is not given.
    """

    def add(command: F) -> F:
        encoding = click.option("--encoding", default=default, metavar="NAME",
                                help="Encoding of text files, such as windows-1252. Default: detected.")
        separator = click.option("--separator", default=default, metavar="CHAR",
                                 help="Separator of the cells of .csv and .tsv files, such as ';' or tab. Default: "
                                      "detected.")
        return separator(encoding(command))

    return add
