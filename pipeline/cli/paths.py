"""The type of options and arguments that are paths."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich_click as click

from embeddings.specification.names import is_valid
from pipeline.cli.failures import WRONG_USE, Failure, show


class CheckedPath(click.Path):
    """A valid path; all path options of the commands have this type."""

    @classmethod
    def like(cls, given: click.Path[Any]) -> CheckedPath:
        """Return a type with the checks of another one."""
        return cls(exists=given.exists, file_okay=given.file_okay, dir_okay=given.dir_okay, writable=given.writable,
                   readable=given.readable, resolve_path=given.resolve_path, allow_dash=given.allow_dash,
                   path_type=Path, executable=given.executable)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a value.

        Raises:
            BadParameter: if it is empty, or contains a null character.
        """
        if not str(value):
            self.fail("the path is empty", param, ctx)
        if "\0" in str(value):
            self.fail(f"{str(value)!r}: a path cannot contain a null character", param, ctx)
        return super().convert(value, param, ctx)


def require_utf8(arguments: Sequence[str]) -> None:
    """Exit with one message if an argument is not UTF-8, which the files of a run could not contain.

    The commands of ``embed`` store no names but sources, in which such bytes are written as escapes.
    """
    for argument in () if arguments[:1] == ["embed"] else arguments:
        if not is_valid(argument):
            show(Failure(f"{argument}: the name is not valid UTF-8; rename the file, or name a link to it: "
                         "ln -s FILE LINK", WRONG_USE))
            sys.exit(WRONG_USE)
