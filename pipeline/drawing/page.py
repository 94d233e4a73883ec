"""Rendering of HTML templates and atomic writing of files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from embeddings.table.listing import listed, shortened

HERE = Path(__file__).parent


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: to a temporary file in the same folder, which then replaces it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def render(template: Path, **values: Any) -> str:
    """Render a Jinja template, which may extend or include files of its own folder and of this one."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, HERE]), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters |= {"listed": listed, "shortened": shortened}
    environment.filters["percent"] = lambda share: f"{share:.1%}"
    return environment.get_template(template.name).render(**values)
