"""Results in an append-only file of JSON Lines, one result a line.

A result belongs to a row, column and seed, to the code that was measured, to a configuration and to data. A command
that is killed leaves at most one incomplete line, which is ignored, and removed when the next result is added.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from declaration import Column

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "quality" / "peers"
PRODUCT = ("embeddings", "transformer", "pipeline", "vecformer.py", "setup.py", "pyproject.toml", "constraints.txt")
KEY = ("row", "column", "seed", "code", "configuration", "data")

Result = dict[str, Any]


class Store:
    """The results in a file.

    Args:
        path: the file; it is created with the first result.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()

    def results(self) -> list[Result]:
        """Return the results in the order in which they were added; an incomplete last line is left out.

        Raises:
            ValueError: if another line is not a result; the message names it.
        """
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").split("\n")
        found = []
        for number, line in enumerate(lines, start=1):
            try:
                if line:
                    found.append(json.loads(line))
            except ValueError as error:
                if any(lines[number:-1]) or number < len(lines) - 1:
                    raise ValueError(f"{self._path}, line {number}: not a result ({error}); remove the line") from error
        return found

    def add(self, result: Mapping[str, Any]) -> None:
        """Append a result and write it to the disk."""
        line = json.dumps(result, ensure_ascii=False) + "\n"
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as file:
                self._remove_incomplete_line(file)
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())

    def _remove_incomplete_line(self, file: Any) -> None:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def key_of(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a result belongs to."""
    return tuple(result[name] for name in KEY)


def digest(value: Any) -> str:
    """Hash a JSON-serialisable value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def code_of(column: Column) -> str:
    """Return the version of the code that a column measures.

    For vecformer it is the last commit that changed the product, with a hash of uncommitted changes; for peers a hash
    of their script and requirements.
    """
    if column.is_ours:
        commit = _git("log", "-1", "--format=%h", "--abbrev=12", "--", *PRODUCT).strip() or "unknown"
        changes = _git("diff", "HEAD", "--", *PRODUCT)
        return f"{commit}-dirty-{digest(changes)[:8]}" if changes else commit
    return digest([path.read_text(encoding="utf-8") for path in sorted(PEERS.glob("*.*"))])


def current(results: Sequence[Result], columns: Sequence[Column]) -> list[Result]:
    """Return the results with the current configuration of their columns.

    Those of vecformer in a row are of one commit, the last that was measured for this row; those of peers are of their
    current code. Of several results of a row, column and seed, which differ in their data, the last is returned.
    """
    configurations = {column.name: digest(column.configuration()) for column in columns}
    peers = {column.name: code_of(column) for column in columns if not column.is_ours}
    known = [one for one in results if configurations.get(one["column"]) == one["configuration"]]
    commits = {one["row"]: one["code"] for one in known if one["column"] not in peers}
    found = {(one["row"], one["column"], one["seed"]): one for one in known
             if one["code"] == (peers.get(one["column"]) or commits[one["row"]])}
    return list(found.values())


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, text=True, capture_output=True, check=False)
    return done.stdout
