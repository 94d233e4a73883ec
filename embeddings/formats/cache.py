"""A cache of rows read from large files, so that reading the same rows again is fast.

The folder is ``VECFORMER_CACHE``, by default the platform's cache folder; ``VECFORMER_CACHE=off`` disables the cache.
An entry is valid for the absolute path, size and modification time of a file and for the requested rows. If only the
time has changed, the content is hashed and compared with the hash in the entry. An entry has the SHA-256 of its own
files; a damaged one is replaced.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from embeddings.errors import InUseError
from embeddings.formats.cache_folder import cache_folder
from embeddings.formats.checksums import first_difference, sha256_of
from embeddings.table import EmbeddingTable
from embeddings.table.atomic_files import locked, scratch_folder
from embeddings.table.persistence import read_saved

VERSION = 2             # version of the entry format; other versions are ignored
MIN_FILE_BYTES = 2**25  # smaller files are not cached
MAX_BYTES = 10 * 2**30
TABLE, ORIGIN, FILES = "table.safetensors", "origin.json", "files"
HASH_BLOCK = 2**20

log = logging.getLogger("vecformer")


def cached(path: Path, key: str, read: Callable[[], EmbeddingTable]) -> EmbeddingTable:
    """Return a table from the cache, or read it and add it to the cache.

    A background thread hashes the file and writes the entry. A broken entry is replaced; if an entry cannot be written,
    for instance because the disk is full, the table is returned nevertheless.

    Args:
        path: the file that the table is read from.
        key: everything else that decides the content of the table.
        read: reads the table.
    """
    folder = cache_folder()
    if folder is None or path.stat().st_size < MIN_FILE_BYTES:
        return read()
    entries = _Entries(folder, path, key)
    found = entries.find()
    if found is not None:
        return found
    stamp = entries.stamp()
    table = read()
    entry = entries.folder(stamp)
    _unwritten[entry] = table
    _writer().submit(entries.write, table, stamp).add_done_callback(lambda _future: _unwritten.pop(entry, None))
    return table


def flush() -> None:
    """Wait until all pending entries are written."""
    _writer().submit(lambda: None).result()


_unwritten: dict[Path, EmbeddingTable] = {}


@cache
def _writer() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="vecformer-cache")  # joined when the interpreter exits


def content_hash(path: Path) -> str:
    """Hash the content of a file."""
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb", buffering=0) as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


class _Entries:
    """The entries of one file and one key: a folder for each state of the file, named by its size and time."""

    def __init__(self, folder: Path, path: Path, key: str) -> None:
        self._folder, self._path = folder, path
        identity = "\0".join((str(VERSION), str(path.absolute()), key))
        self._name = hashlib.blake2b(identity.encode("utf-8", errors="surrogatepass"), digest_size=20).hexdigest()

    def stamp(self) -> str:
        """Return the size and modification time of the file."""
        state = self._path.stat()
        return f"{state.st_size}-{state.st_mtime_ns}"

    def folder(self, stamp: str) -> Path:
        """Return the folder of the entry for a state of the file."""
        return self._folder / f"{self._name}-{stamp}"

    def find(self) -> EmbeddingTable | None:
        """Return the entry for the current state of the file."""
        stamp = self.stamp()
        entry = self.folder(stamp)
        if entry in _unwritten:
            return _unwritten[entry]
        try:
            if not entry.exists():
                self._adopt(entry, stamp)
            if not entry.exists():
                return None
            origin = _origin(entry)
            if origin["entry"] != self._name:
                raise ValueError("it is the entry of another file or request")
            wrong = first_difference(entry, origin[FILES])
            if wrong is not None:
                raise ValueError(f"{wrong.name} does not have the checksum of {ORIGIN}")
            table = EmbeddingTable(*read_saved(entry / TABLE))
            os.utime(entry)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if entry.exists():  # otherwise another process deleted it in the meantime
                log.warning("%s: this cache entry is damaged (%s); %s is read again", entry, error, self._path)
            return None
        return table

    def _adopt(self, entry: Path, stamp: str) -> None:
        """Rename the entry of an earlier modification time, if the content is the same."""
        size = stamp.partition("-")[0]
        for earlier in self._folder.glob(f"{self._name}-{size}-*"):
            if _origin(earlier)["blake2b"] == content_hash(self._path):
                earlier.rename(entry)
                return

    def write(self, table: EmbeddingTable, stamp: str) -> None:
        """Write an entry atomically, and delete those of earlier states of the file."""
        try:
            digest = content_hash(self._path)
            if stamp == self.stamp():  # otherwise the file was changed since it was read
                self._write(table, stamp, digest)
                _shrink(self._folder)
        except (OSError, SafetensorError, InUseError) as error:  # InUseError: another process writes this entry
            log.info("%s: not cached (%s)", self._path, error)

    def _write(self, table: EmbeddingTable, stamp: str, digest: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        entry = self.folder(stamp)
        with locked(entry), scratch_folder(entry) as new:
            table.save(new / TABLE)
            origin = {"entry": self._name, "path": str(self._path.absolute()), "blake2b": digest,
                      "source": table.source, FILES: sha256_of(new.iterdir())}
            (new / ORIGIN).write_text(json.dumps(origin), encoding="utf-8")
            for earlier in self._folder.glob(f"{self._name}-*"):
                shutil.rmtree(earlier, ignore_errors=True)
            new.rename(entry)


def _origin(entry: Path) -> dict[str, Any]:
    """Read the description of an entry, which must list both files of its table."""
    origin: dict[str, Any] = json.loads((entry / ORIGIN).read_text(encoding="utf-8"))
    if set(origin[FILES]) != {TABLE, Path(TABLE).with_suffix(".json").name}:
        raise ValueError(f"{ORIGIN} does not list its files")
    return origin


def _shrink(folder: Path) -> None:
    """Delete the least recently used entries until the cache is below ``MAX_BYTES``."""
    used = sorted((entry for entry in folder.iterdir() if (entry / TABLE).exists()),
                  key=lambda entry: entry.stat().st_mtime, reverse=True)
    total = 0
    for entry in used:
        total += sum(file.stat().st_size for file in entry.iterdir())
        if total > MAX_BYTES:
            shutil.rmtree(entry, ignore_errors=True)
