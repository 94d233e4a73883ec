"""Byte streams of uncompressed files, gzip files and members of zip archives, detected by content.

Nothing is decompressed to disk.

A location is a path, or ``archive.zip!member``, such as ``glove.6B.zip!glove.6B.300d.txt``.
"""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

from embeddings.errors import VectorFileError

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
BLOCK = 2**20          # smaller blocks split lines of 300 numbers more often and halve the speed
FREE_EXPANSION = 2**30
MAX_EXPANSION = 200    # compressed numbers take a third to a half; more is a decompression bomb
SHOWN_MEMBERS = 12
BROKEN_ARCHIVE = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, struct.error, ValueError,
          OverflowError, NotImplementedError)


@dataclass(frozen=True)
class Stream:
    """An open location.

    Attributes:
        file: the decompressed bytes.
        progress: returns the fraction that was read so far, 0 to 1.
        name: name for error messages.
        path: path of an uncompressed file, which can be memory-mapped; None for a compressed one.
    """

    file: BufferedReader[Any]
    progress: Callable[[], float]
    name: str
    path: Path | None

    def read_exactly(self, n: int, what: str) -> bytes:
        """Read ``n`` bytes.

        Raises:
            VectorFileError: if there are fewer.
        """
        pieces, left = [], n
        while left:
            piece = self.file.read(min(left, BLOCK))  # a broken header may request more than fits in memory
            if not piece:
                raise VectorFileError(f"{self.name}: truncated in {what}; download or write it again")
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)


def decompressed(file: BufferedReader) -> IO[bytes]:
    """Return the bytes of a file, decompressed if its content (not its name) is gzip."""
    zipped = file.peek(2)[:2] == GZIP_MAGIC
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if zipped else file


def split_location(location: str | Path) -> tuple[Path, str | None]:
    """Split ``archive!member`` into file and member; the file is the longest existing path."""
    text = str(location)
    if "\0" in text:
        raise VectorFileError(f"{text!r}: not a file name, because it contains a null character")
    place = len(text)
    while place > 0:
        path = _existing(text[:place])
        if path is not None:
            return path, text[place + 1 :] or None
        place = text.rfind("!", 0, place)
    return Path(text), None


def is_file_location(location: str) -> bool:
    """Return whether a text is the location of an existing file; it may be too long for a file name."""
    try:
        return split_location(location)[0].is_file()
    except (OSError, VectorFileError):
        return False


def _existing(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        path.stat()
    except (OSError, RuntimeError):  # the latter for ~nobody
        return None
    return path


@contextmanager
def open_location(location: str | Path) -> Iterator[Stream]:
    """Open a location for reading.

    Raises:
        VectorFileError: if it is missing, a folder, or a broken archive; if a zip archive has several members and none
            is named, or the named one is missing or encrypted; while reading, if a compressed file is broken or
            expands to more than ``MAX_EXPANSION`` times its size (and more than ``FREE_EXPANSION`` bytes).
    """
    try:
        path, member = split_location(location)
        with ExitStack() as stack:
            yield _opened(path, member, stack)
    except FileNotFoundError as error:
        raise VectorFileError(f"{location}: no such vector file; check the path") from error
    except IsADirectoryError as error:
        raise VectorFileError(f"{location}: a folder, not a vector file; name a file in it") from error
    except OSError as error:
        raise VectorFileError(f"{location}: cannot be read ({error.strerror or error})") from error


def _opened(path: Path, member: str | None, stack: ExitStack) -> Stream:
    raw: BufferedReader[Any] = BufferedReader(stack.enter_context(path.open("rb", buffering=0)), BLOCK)
    size = path.stat().st_size
    start = raw.peek(4)[:4]
    if start in ZIP_MAGICS:
        with _reports_broken(path, "zip"):
            archive = stack.enter_context(zipfile.ZipFile(raw))
        info = _member(archive, path, member)
        name = f"{path}!{info.filename}"
        with _reports_broken(name, "zip"):
            packed = stack.enter_context(archive.open(info))
        file: BufferedReader[Any] = BufferedReader(_Bounded(packed, info.compress_size, name, "zip"), BLOCK)
        return Stream(file, lambda: file.tell() / max(info.file_size, 1), name, None)
    if member is not None:
        raise VectorFileError(f"{path}: not a zip archive, so it has no member {member!r}; leave out the !")
    if start[:2] == GZIP_MAGIC:
        unzipped = stack.enter_context(gzip.GzipFile(fileobj=raw))
        file = BufferedReader(_Bounded(cast(IO[bytes], unzipped), size, str(path), "gzip"), BLOCK)
        return Stream(file, lambda: raw.tell() / size, str(path), None)
    return Stream(raw, lambda: raw.tell() / max(size, 1), str(path), path)


def _member(archive: zipfile.ZipFile, path: Path, member: str | None) -> zipfile.ZipInfo:
    """Return the named member, or the only one."""
    infos = [info for info in archive.infolist() if not info.is_dir() and not _is_metadata(info.filename)]
    names = [info.filename for info in infos]
    shown = ", ".join(names[:SHOWN_MEMBERS]) + (", …" if len(names) > SHOWN_MEMBERS else "")
    if member is not None:
        if member not in names:
            raise VectorFileError(f"{path}: no member is called {member!r}; members: {shown or 'none'}")
        chosen = infos[names.index(member)]
    elif len(names) == 1:
        chosen = infos[0]
    else:
        hint = f"choose one, such as {path}!{names[0]}; members: {shown}" if names else "nothing to read"
        raise VectorFileError(f"{path}: the zip archive has {len(names)} members: {hint}")
    if chosen.flag_bits & 1:
        raise VectorFileError(f"{path}!{chosen.filename}: encrypted; decrypt it first")
    return chosen


def _is_metadata(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


class _Bounded(io.RawIOBase):
    """A decompressed stream with a limit on its expansion."""

    def __init__(self, file: IO[bytes], packed: int, name: str, kind: str) -> None:
        self._file, self._packed, self._name, self._kind, self._n_read = file, packed, name, kind, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _reports_broken(self._name, self._kind):
            block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        self._n_read += len(block)
        if self._n_read > max(FREE_EXPANSION, MAX_EXPANSION * self._packed):
            raise VectorFileError(f"{self._name}: expands to more than {MAX_EXPANSION} times its size; not "
                                  "a vector file")
        return len(block)

    def tell(self) -> int:
        return self._n_read


@contextmanager
def _reports_broken(name: str | Path, kind: str) -> Iterator[None]:
    """Turn the exceptions of a broken archive into one message."""
    try:
        yield
    except BROKEN_ARCHIVE as error:
        raise VectorFileError(f"{name}: broken {kind} file ({error}); download it again") from error
