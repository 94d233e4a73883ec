"""Files that are written completely or not at all, and locks that end with the process that holds them."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from embeddings.errors import InUseError

NEW, OLD, LOCK = ".vecformer-new", ".vecformer-old", ".vecformer-lock"
ABSENT = ".absent"  # after the names of files that did not exist before a replacement
FOREVER = -1.0  # timeout of :func:`locked`
ONLY_IN_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
MAX_NAME = 200  # bytes; file systems allow 255 for a name with its suffix


def hidden(path: Path, suffix: str) -> Path:
    """Return the path of a hidden companion of a file or folder, in the same folder."""
    name = os.fsencode(path.name)
    if len(name) > MAX_NAME:
        name = hashlib.blake2b(name, digest_size=20).hexdigest().encode()
    return path.with_name(f".{os.fsdecode(name)}{suffix}")


@contextmanager
def locked(path: Path, *, timeout: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file or folder, which need not exist, and undo a replacement that was killed halfway.

    The operating system releases the lock when the process ends, however it ends. The lock file is deleted afterwards;
    that of a killed process is reused. The same process can hold a lock several times.

    Args:
        path: the file or folder; its own folder must exist.
        timeout: seconds to wait for another process; :data:`FOREVER` for no limit.

    Raises:
        InUseError: if another process holds the lock.
        OSError: if the folder does not exist or cannot be written in.
    """
    from filelock import FileLock, Timeout

    if not path.parent.is_dir():  # FileLock would create it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    lock = FileLock(hidden(path, LOCK), is_singleton=True, thread_local=False)
    try:
        lock.acquire(timeout=timeout)
    except Timeout as error:
        raise InUseError(f"{path}: another process is writing it; wait until it has finished, or choose another name"
                         ) from error
    try:
        _restore(path)
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

    Raises:
        OSError: if it is a folder, a device or a pipe, or cannot be written.
    """
    path = Path(os.path.realpath(path))
    require_replaceable(path)
    with _named(path, ONLY_IN_WRITING), scratch_folder(path) as folder:
        new = folder / path.name  # in a folder, because libraries create temporary files of their own
        yield new
        publish(new, path)


@contextmanager
def _named(path: Path, codes: Collection[int]) -> Iterator[None]:
    """Add the file name to errors with these codes; those of operations on open files have none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in codes:
            error.filename = str(path)
        raise


def require_replaceable(path: Path) -> None:
    """Raise OSError if there is anything but a file at a path: a device such as ``/dev/null`` would be lost."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "a folder, device or pipe, which is not replaced", str(path))


def publish(new: Path, path: Path) -> None:
    """Rename a file so that it replaces another one; its content is on the disk first."""
    sync(new)
    new.replace(path)
    sync(path.parent)


def publish_together(files: Sequence[Path], path: Path) -> None:
    """Rename several files so that they replace those of the same names in the folder of ``path``: all or none.

    The earlier files are kept in a hidden folder until all new ones are in place. After a kill there may be no file at
    ``path``; :func:`locked` and :func:`restore` then put the earlier files back, and delete new ones that had no
    predecessor.

    Args:
        files: the new files; that of the name of ``path`` is renamed last.
        path: the main file, without which the others are not read; the caller holds its lock.

    Raises:
        OSError: if a folder, a device or a pipe has the name of a file.
    """
    for file in files:
        require_replaceable(path.with_name(file.name))
    if len(files) == 1:
        return publish(files[0], path.with_name(files[0].name))
    for file in files:
        sync(file)
    _restore(path)
    old = hidden(path, OLD)
    old.mkdir()
    try:
        for name in (path.name, *(file.name for file in files if file.name != path.name)):
            try:
                path.with_name(name).rename(old / name)
            except FileNotFoundError:
                (old / f"{name}{ABSENT}").touch()
        for file in sorted(files, key=lambda file: file.name == path.name):
            publish(file, path.with_name(file.name))
    finally:
        _restore(path)


def restore(path: Path) -> None:
    """Put a missing file back if a killed replacement moved it away; to be called before the file is looked for."""
    if not path.exists() and hidden(path, OLD).is_dir():
        with suppress(InUseError, OSError), locked(path):
            pass


def _restore(path: Path) -> None:
    """Put the files of an incomplete replacement back, or delete those of a complete one."""
    old = hidden(path, OLD)
    if not old.is_dir():
        return
    if not path.exists():
        for file in sorted(old.iterdir(), key=lambda file: file.name == path.name):
            if file.name.endswith(ABSENT):
                path.with_name(file.name.removesuffix(ABSENT)).unlink(missing_ok=True)
            else:
                file.rename(path.with_name(file.name))
    shutil.rmtree(old)


@contextmanager
def temporary_folder(kind: str) -> Iterator[Path]:
    """Yield an empty folder in the system's temporary folder, which is removed at the end.

    Those of the same kind that killed processes left are removed as well.

    Args:
        kind: part of its name.

    Raises:
        OSError: if it cannot be created.
    """
    base = Path(tempfile.gettempdir())
    for left in base.glob(f"vecformer-{kind}-*"):
        with suppress(InUseError, OSError), locked(left):
            shutil.rmtree(left)
    folder = base / f"vecformer-{kind}-{uuid4().hex}"
    with locked(folder):  # before it exists, so that no other process takes it for one of a killed process
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file completely or not at all; text as UTF-8 (:func:`replacing`)."""
    with replacing(path) as new, _named(path, errno.errorcode):
        new.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


def sync(path: Path) -> None:
    """Wait until a file or the entries of a folder are on the disk.

    Raises:
        OSError: if a file cannot be written, for instance because the disk is full.
    """
    if path.is_dir():
        with suppress(OSError):  # some systems cannot open folders
            _sync(path, os.O_RDONLY)
        return
    try:
        _sync(path, os.O_RDWR)
    except PermissionError:  # a file of the user that is read-only, and therefore has not been written here
        with suppress(PermissionError):
            _sync(path, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        with _named(path, errno.errorcode):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
