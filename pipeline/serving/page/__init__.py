"""The page: one document with a style sheet and a script, all served by this server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response

HERE = Path(__file__).parent
KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FILES = {"/" if path.suffix == ".html" else f"/{path.name}": path
         for path in sorted(HERE.iterdir()) if path.suffix in KINDS}


def version() -> str:
    """Return the version of the package."""
    try:
        return metadata.version("vecformer")
    except metadata.PackageNotFoundError:
        return "0"


def add(app: FastAPI) -> None:
    """Add the files of the page to an application."""
    for path, file in FILES.items():
        app.get(path, include_in_schema=False)(_answer(file.read_bytes(), KINDS[file.suffix]))


def _answer(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def file() -> Response:
        return Response(content, headers={"Content-Type": kind})

    return file
