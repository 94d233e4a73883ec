"""Progress bars on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from embeddings.progress import Progress, silent
from pipeline.drawing.terminal import cell


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Progress]:
    """Show one bar for each activity on standard error, unless it is not a terminal or ``quiet`` is set.

    Yields:
        A progress callback.
    """
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (rich.SpinnerColumn(), rich.TextColumn("{task.description}", markup=False), rich.BarColumn(),
               rich.TextColumn("{task.percentage:>3.0f}%"), rich.TimeElapsedColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False,
                       redirect_stderr=False) as shown:
        tasks: dict[str, rich.TaskID] = {}

        def update(what: str, share: float) -> None:
            if what not in tasks or (share == 0 and shown.tasks[tasks[what]].finished):
                tasks[what] = shown.add_task(cell(what), total=1.0)
            shown.update(tasks[what], completed=share)

        yield update
