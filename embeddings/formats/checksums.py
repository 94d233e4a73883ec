"""SHA-256 of files; large files are hashed once, and then recognised by their size, times, device and inode.

The file ``verified.txt`` in the user's cache folder has one line for each large file that had the expected hash: a hash
of its size, modification and status-change times, device, inode and SHA-256. A damaged line only causes a file to be
hashed again. Without a cache folder, files are hashed each time.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from embeddings.errors import InUseError
from embeddings.formats.cache_folder import cache_folder
from embeddings.table.atomic_files import locked, write_atomically

LARGE_BYTES = 2**22   # smaller files are hashed each time, which takes 2 milliseconds
MAX_LINES = 4096
SETTLED_SECONDS = 2.0  # a file changed more recently can change again without a difference in its times


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of files of one folder by their names."""
    return {path.name: sha256(path) for path in paths}


def has_sha256(path: Path, expected: str) -> bool:
    """Return whether a file has the expected SHA-256; a large file that is unchanged since then is not read again.

    Raises:
        OSError: if the file is missing or cannot be read.
    """
    state = path.stat()
    memory = None if state.st_size < LARGE_BYTES else _memory()
    if memory is not None and _line(state, expected) in _lines(memory):
        return True
    return hash_once(path) == expected


def hash_once(path: Path) -> str:
    """Return the SHA-256 of a file; that of a large one is remembered for :func:`has_sha256`.

    Raises:
        OSError: if the file is missing or cannot be read.
    """
    state = path.stat()
    digest = sha256(path)
    memory = None if state.st_size < LARGE_BYTES else _memory()
    settled = abs(time.time() - max(state.st_mtime, state.st_ctime)) > SETTLED_SECONDS
    line = _line(state, digest)
    if memory is not None and settled and _line(path.stat(), digest) == line:
        _remember(memory, line)
    return digest


def first_difference(folder: Path, expected: Mapping[str, str]) -> Path | None:
    """Return the first file of a folder that is missing, unreadable, or has another SHA-256; None if all are right."""
    for name, digest in expected.items():
        try:
            if not has_sha256(folder / name, digest):
                return folder / name
        except OSError:
            return folder / name
    return None


def _memory() -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / "verified.txt"


def _line(state: os.stat_result, expected: str) -> str:
    times = f"{state.st_mtime_ns} {state.st_ctime_ns}"
    identity = f"{state.st_size} {times} {state.st_dev} {state.st_ino} {expected}"  # a copy of a disk has equal inodes
    return hashlib.blake2b(identity.encode(), digest_size=20).hexdigest()


def _lines(memory: Path) -> list[str]:
    try:
        return memory.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _remember(memory: Path, line: str) -> None:
    """Append a line; the older half is dropped when there are too many. A folder that is not writable is no error."""
    with suppress(OSError, InUseError):  # InUseError: another process shortens it
        memory.parent.mkdir(parents=True, exist_ok=True)
        with memory.open("a", encoding="ascii") as file:
            file.write(f"{line}\n")
        lines = _lines(memory)
        if len(lines) > MAX_LINES:
            with locked(memory):
                write_atomically(memory, "".join(f"{one}\n" for one in lines[-MAX_LINES // 2:]))
