"""Files that are written completely or not at all, and locks that end with the process that holds them."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from embeddings.errors import InUseError

NEW, LOCK = ".vecformer-new", ".vecformer-lock"
FOREVER = -1.0  # seconds of patience, for :func:`locked`
MAX_NAME = 200  # bytes; file systems allow 255 for a name with its suffix


def hidden(path: Path, suffix: str) -> Path:
    """Return the path of a hidden companion of a file or folder, in the same folder."""
    name = os.fsencode(path.name)
    if len(name) > MAX_NAME:
        name = hashlib.blake2b(name, digest_size=20).hexdigest().encode()
    return path.with_name(f".{os.fsdecode(name)}{suffix}")


@contextmanager
def locked(path: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file or folder, which need not exist.

    The operating system releases the lock when the process ends, however it ends. The lock file is deleted afterwards;
    that of a killed process is reused. The same process can hold a lock several times.

    Args:
        path: the file or folder; its own folder must exist.
        patience: seconds to wait for another process; :data:`FOREVER` for no limit.

    Raises:
        InUseError: if another process holds the lock.
        OSError: if the folder does not exist or cannot be written in.
    """
    from filelock import FileLock, Timeout

    if not path.parent.is_dir():  # FileLock would create it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    lock = FileLock(hidden(path, LOCK), timeout=patience, is_singleton=True, thread_local=False)
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise InUseError(f"{path}: another process is writing it; wait until it has finished, or choose another name"
                         ) from error
    try:
        yield
    finally:
        if lock.lock_counter == 1:
            with suppress(OSError):  # while it is held, so that no other process can have it
                Path(lock.lock_file).unlink()
        lock.release()


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield an empty hidden folder beside ``path``, which is removed at the end.

    Its name follows from that of ``path``, so that the next writer removes what a killed process left: only one process
    at a time may write ``path`` (:func:`locked`).
    """
    folder = hidden(path, NEW)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file that replaces ``path`` when the block succeeds.

    The content is on the disk before the file is renamed; ``path`` therefore has the old or the new content, even after
    a power failure. If the block fails, ``path`` is unchanged and the temporary file is removed.

    Args:
        path: the file to write; the target of a symbolic link is replaced, not the link.
    """
    path = Path(os.path.realpath(path))
    with scratch_folder(path) as folder:  # a folder, because libraries create temporary files of their own
        new = folder / path.name
        yield new
        publish(new, path)


def publish(new: Path, path: Path) -> None:
    """Rename a file so that it replaces another one; its content is on the disk first."""
    sync(new)
    new.replace(path)
    sync(path.parent)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file completely or not at all; text as UTF-8 (:func:`replacing`)."""
    with replacing(path) as new:
        new.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


def sync(path: Path) -> None:
    """Wait until a file or the entries of a folder are on the disk.

    Raises:
        OSError: if a file cannot be written, for instance because the disk is full.
    """
    if path.is_dir():
        with suppress(OSError):  # some systems cannot open folders
            _sync(path, os.O_RDONLY)
    else:
        _sync(path, os.O_RDWR)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
