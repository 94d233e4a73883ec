"""Telling people how far long work has come: bars on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from embeddings.progress import Progress, silent


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Progress]:
    """Show a bar for each kind of work on standard error; nothing if it is no terminal, or if asked to be quiet."""
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (rich.SpinnerColumn(), rich.TextColumn("{task.description}"), rich.BarColumn(),
               rich.TextColumn("{task.percentage:>3.0f}%"), rich.TimeElapsedColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        tasks: dict[str, rich.TaskID] = {}

        def tell(what: str, share: float) -> None:
            if what not in tasks or (share == 0 and shown.tasks[tasks[what]].finished):
                tasks[what] = shown.add_task(what, total=1.0)
            shown.update(tasks[what], completed=share)

        yield tell
