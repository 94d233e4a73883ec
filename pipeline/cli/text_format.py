"""The options of the commands that read files of text and tables: separator, encoding and columns."""

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


def column_options(default: str | None = "", otherwise: str = "as in the run") -> Callable[[F], F]:
    """Return a decorator that adds the options of columns, and those of :func:`text_format_options`.

    Args:
        default: what the command receives for an option that is not given.
        otherwise: the default, for the help; ``{found}`` is replaced by the default of each option.
    """
    options = {
        "--text-column": ("NAME", "Column of the text. Can be repeated; several columns are joined."),
        "--label-column": ("NAME", "Column of the label."),
        "--label-separator": ("TEXT", "Separator of several labels in one cell, for --task multi-label."),
        "--context-column": ("NAME", "Column of the second text of a pair, or of the context of a question."),
        "--word-column": ("COLUMN", "Column of the words in files of tagged words: its number, from 1 or negative from "
                                    "the end, or its name."),
        "--tag-column": ("COLUMN", "Column of the tags, as --word-column."),
    }

    def add(command: F) -> F:
        for name, (metavar, text) in reversed(options.items()):
            several: dict[str, Any] = {"multiple": True} if name == "--text-column" else {"default": default}
            found = "none" if name == "--label-separator" else "found by its name"
            command = click.option(name, metavar=metavar, help=f"{text} Default: {otherwise.format(found=found)}.",
                                   **several)(command)
        return text_format_options(default)(command)

    return add
