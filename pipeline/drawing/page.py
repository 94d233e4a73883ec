"""Rendering of HTML templates and atomic writing of files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from embeddings.table.atomic_files import locked, write_atomically
from embeddings.table.listing import decimals, listed, shortened
from embeddings.table.paths import printable
from pipeline.drawing.terminal import visible

SECONDS_TO_WAIT = 10.0
HERE = Path(__file__).parent


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or not at all; waits for another process that writes the same file."""
    real = Path(os.path.realpath(path))
    try:
        with locked(real, timeout=SECONDS_TO_WAIT):
            write_atomically(real, content)
    except OSError as error:  # of the lock or the temporary file, whose names say nothing to a user
        raise type(error)(error.errno, error.strerror or str(error), str(path)) from error


def render(
    template: Path, *, autoescape: bool = True, filters: Mapping[str, Callable[..., Any]] | None = None, **values: Any
) -> str:
    """Render a Jinja template, which may extend or include files of its own folder and of this one.

    Markup and control characters in values are shown, not interpreted.

    Args:
        template: the file.
        autoescape: escape values for HTML; a template of another format escapes them by its filters.
        filters: additional filters by name.
        values: the variables of the template.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, HERE]), autoescape=autoescape, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters |= {"listed": listed, "shortened": shortened, "decimals": decimals}
    environment.filters |= {"percent": lambda share: f"{share:.1%}", **(filters or {})}
    page = environment.get_template(template.name).render(**values)
    return visible(printable(page))
