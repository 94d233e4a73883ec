"""Progress bars on a terminal or in a notebook, and the log of a call from Python."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from embeddings.progress import Progress, silent
from pipeline.drawing.terminal import cell, visible
from pipeline.telemetry.notebook import in_notebook, notebook_bars

log = logging.getLogger("vecformer")


class VisibleFormatter(logging.Formatter):
    """Format a message without the control characters that it may contain."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message on the lines of its own, and no others."""
        return visible(super().format(record))


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Progress]:
    """Show one bar for each activity in the notebook or on the terminal that is standard error, if there is one.

    Args:
        quiet: show none.

    Yields:
        A progress callback.
    """
    if quiet:
        yield silent
        return
    if in_notebook():
        with notebook_bars() as progress:
            yield progress
        return
    if not sys.stderr.isatty():
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


@contextmanager
def given_or_notebook(progress: Progress | None) -> Iterator[Progress]:
    """Return the given callback; for None, bars in a notebook and nothing elsewhere."""
    if progress is not None:
        yield progress
        return
    with bars(quiet=not in_notebook()) as shown_there:
        yield shown_there


@contextmanager
def shown(verbose: bool) -> Iterator[Progress]:
    """With ``verbose``, show bars, and print the log of what is done to standard error.

    Yields:
        A progress callback.
    """
    if not verbose:
        yield silent
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(message)s"))
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        with bars() as progress:
            yield progress
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
