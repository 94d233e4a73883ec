"""What was read out of a big file is kept as a table, so that reading the same rows again takes no time.

The folder is ``VECFORMER_CACHE``, by default the platform's own for caches; ``VECFORMER_CACHE=off`` keeps nothing. An
entry holds for the file's absolute path, its size and time and what was asked for. If only the time has changed, the
content is hashed and compared with the hash that was taken when the entry was made.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from safetensors import SafetensorError

from embeddings.table import EmbeddingTable
from embeddings.table.persistence import read_saved

VERSION = 1            # of what an entry holds; another one answers for nothing
MIN_FILE_BYTES = 2**25  # smaller files are read faster than the cache is asked
MAX_BYTES = 10 * 2**30
TABLE, ORIGIN = "table.safetensors", "origin.json"
OFF = ("", "off")
HASHED_AT_ONCE = 2**20

log = logging.getLogger("vecformer")


def cache_folder() -> Path | None:
    """Where tables are kept; None if nothing is to be."""
    named = os.environ.get("VECFORMER_CACHE")
    if named is not None:
        return None if named.strip().lower() in OFF else Path(named).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "vecformer"


def cached(path: Path, key: str, make: Callable[[], EmbeddingTable]) -> EmbeddingTable:
    """Take a table from the cache, or make it and keep it.

    The content is hashed and the entry written beside the work that goes on. A broken entry is made anew; where an
    entry cannot be written, for instance on a full disk, the table is given all the same.

    Args:
        path: the file that the table is read from.
        key: everything else that decides what the table holds.
        make: reads the table.
    """
    folder = cache_folder()
    if folder is None or path.stat().st_size < MIN_FILE_BYTES:
        return make()
    entries = _Entries(folder, path, key)
    found = entries.find()
    if found is not None:
        return found
    stamp = entries.stamp()
    table = make()
    place = entries.place(stamp)
    _unwritten[place] = table
    _writer().submit(entries.keep, table, stamp).add_done_callback(lambda _done: _unwritten.pop(place, None))
    return table


def flush() -> None:
    """Wait until everything that is to be kept is written."""
    _writer().submit(lambda: None).result()


_unwritten: dict[Path, EmbeddingTable] = {}


@cache
def _writer() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="vecformer-cache")  # waited for when the interpreter ends


def content_hash(path: Path) -> str:
    """A hash of a file's content."""
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb", buffering=0) as file:
        while block := file.read(HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


class _Entries:
    """The folders kept for one file and one key: one for each state of the file, named by its size and time."""

    def __init__(self, folder: Path, path: Path, key: str) -> None:
        self._folder, self._path = folder, path
        told = "\0".join((str(VERSION), str(path.absolute()), key))
        self._name = hashlib.blake2b(told.encode("utf-8", errors="replace"), digest_size=20).hexdigest()

    def stamp(self) -> str:
        """The file's size and time."""
        state = self._path.stat()
        return f"{state.st_size}-{state.st_mtime_ns}"

    def place(self, stamp: str) -> Path:
        """Where the entry for a state of the file is kept."""
        return self._folder / f"{self._name}-{stamp}"

    def find(self) -> EmbeddingTable | None:
        """The entry for the file as it is now."""
        stamp = self.stamp()
        entry = self.place(stamp)
        if entry in _unwritten:
            return _unwritten[entry]
        try:
            if not entry.exists():
                self._adopt(entry, stamp)
            table = EmbeddingTable(*read_saved(entry / TABLE))
            os.utime(entry)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none there, or a broken one
            return None
        return table

    def _adopt(self, entry: Path, stamp: str) -> None:
        """Take over the entry of an earlier time, if the content is the same."""
        size = stamp.partition("-")[0]
        for earlier in self._folder.glob(f"{self._name}-{size}-*"):
            if json.loads((earlier / ORIGIN).read_text(encoding="utf-8"))["blake2b"] == content_hash(self._path):
                earlier.rename(entry)
                return

    def keep(self, table: EmbeddingTable, stamp: str) -> None:
        """Write an entry, whole or not at all, in place of those of earlier states of the file."""
        try:
            digest = content_hash(self._path)
            if stamp == self.stamp():  # else the file was changed since it was read
                self._write(table, stamp, digest)
                _shrink(self._folder)
        except (OSError, SafetensorError) as error:
            log.info("%s: not kept in the cache (%s)", self._path, error)

    def _write(self, table: EmbeddingTable, stamp: str, digest: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=self._folder, prefix="new-"))
        try:
            table.save(made / TABLE)
            origin = {"path": str(self._path.absolute()), "blake2b": digest, "source": table.source}
            (made / ORIGIN).write_text(json.dumps(origin), encoding="utf-8")
            for earlier in self._folder.glob(f"{self._name}-*"):
                shutil.rmtree(earlier, ignore_errors=True)
            made.rename(self.place(stamp))
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _shrink(folder: Path) -> None:
    """Take away the entries that were used longest ago, until the rest is small enough."""
    used = sorted((entry for entry in folder.iterdir() if (entry / TABLE).exists()),
                  key=lambda entry: entry.stat().st_mtime, reverse=True)
    total = 0
    for entry in used:
        total += sum(file.stat().st_size for file in entry.iterdir())
        if total > MAX_BYTES:
            shutil.rmtree(entry, ignore_errors=True)
