"""The type of options and arguments that are paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem

from pipeline.cli.completions import complete_runs

URI = "file://"


RUN_PARAMETERS = ("run", "runs", "resume", "init_from")  # names of the parameters that are run folders


class CheckedPath(click.Path):
    """A valid path, or a ``file://`` URI of one; all path options of the commands have this type."""

    @classmethod
    def like(cls, given: click.Path[Any]) -> CheckedPath:
        """Return a type with the checks of another one."""
        return cls(exists=given.exists, file_okay=given.file_okay, dir_okay=given.dir_okay, writable=given.writable,
                   readable=given.readable, resolve_path=given.resolve_path, allow_dash=given.allow_dash,
                   path_type=Path, executable=given.executable)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a value.

        Raises:
            BadParameter: if it is empty or contains a null character, or a URI is not that of a file on this machine.
        """
        if not str(value):
            self.fail("the path is empty", param, ctx)
        if "\0" in str(value):
            self.fail(f"{str(value)!r}: a path cannot contain a null character", param, ctx)
        path = self._path_of(value, param, ctx)
        try:
            return super().convert(path, param, ctx)
        except click.BadParameter as error:  # in which bytes that are not UTF-8 are question marks
            self.fail(error.message.replace(click.format_filename(path), str(path)), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a finished run, or else a path."""
        runs = complete_runs(incomplete) if param.name in RUN_PARAMETERS else []
        return runs or super().shell_complete(ctx, param, incomplete)

    def _path_of(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or not value.startswith(URI):
            return value
        from embeddings.table.paths import from_written  # imports numpy

        try:
            return from_written(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
