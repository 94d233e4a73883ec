"""Progress bars in notebooks, drawn by the browser's own ``<progress>``: no widget extension is needed."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from embeddings.progress import Progress
from pipeline.drawing.terminal import cell

SECONDS_BETWEEN = 0.1  # of two updates: a kernel sends each of them to the browser


def in_notebook() -> bool:
    """Whether the process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


@contextmanager
def notebook_bars() -> Iterator[Progress]:
    """Show one bar for each activity below the cell; they disappear at the end.

    Yields:
        A progress callback.
    """
    display: Any = importlib.import_module("IPython.display")
    shares: dict[str, float] = {}
    handle: Any = None
    last = 0.0

    def update(what: str, share: float) -> None:
        nonlocal handle, last
        is_new = what not in shares
        shares[what] = share
        if not is_new and share < 1 and time.monotonic() - last < SECONDS_BETWEEN:
            return
        last = time.monotonic()
        if handle is None:
            handle = display.display(display.HTML(_html(shares)), display_id=True)
        else:
            handle.update(display.HTML(_html(shares)))

    try:
        yield update
    finally:
        if handle is not None:
            handle.update(display.HTML(""))


def _html(shares: dict[str, float]) -> str:
    rows = (f'<tr><td style="text-align:left">{escape(cell(what))}</td><td><progress value="{share:.4f}" max="1" '
            f'aria-label="{escape(cell(what))}"></progress></td><td>{share:.0%}</td></tr>'
            for what, share in shares.items())
    return f"<table>{''.join(rows)}</table>"
