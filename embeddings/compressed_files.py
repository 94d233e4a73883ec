"""Files as streams of bytes: plain, gzip, or a member of a zip archive, told apart by content, never unpacked to disk.

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
BLOCK = 2**20          # with less, a line of 300 numbers falls between two blocks too often: half the speed
FREE_EXPANSION = 2**30
MAX_EXPANSION = 200    # text of numbers shrinks to a half or a third; only what was made to fill a memory does more
SHOWN_MEMBERS = 12
BROKEN = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, struct.error, ValueError,
          OverflowError, NotImplementedError)


@dataclass(frozen=True)
class Stream:
    """An open location.

    Attributes:
        file: its bytes, unpacked.
        share: how much of it was read so far, 0 to 1.
        name: what it is called in messages.
        path: the file, if its bytes lie in it as they are, so that it can be mapped; None if they are packed.
    """

    file: BufferedReader[Any]
    share: Callable[[], float]
    name: str
    path: Path | None

    def read_exactly(self, n: int, what: str) -> bytes:
        """Read ``n`` bytes.

        Raises:
            VectorFileError: if there are fewer.
        """
        pieces, left = [], n
        while left:
            piece = self.file.read(min(left, BLOCK))  # a broken header may ask for more than there is memory
            if not piece:
                raise VectorFileError(f"{self.name}: cut off in {what}; fetch or write it again")
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)


def decompressed(file: BufferedReader) -> IO[bytes]:
    """Read a file's bytes, unpacked if its content (not its name) says gzip."""
    zipped = file.peek(2)[:2] == GZIP_MAGIC
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if zipped else file


def split_location(location: str | Path) -> tuple[Path, str | None]:
    """Cut a location into the file and, for ``archive!member``, the member; the longest part that exists is it."""
    text = str(location)
    if "\0" in text:
        raise VectorFileError(f"{text!r}: no name of a file: it holds a character of number 0")
    place = len(text)
    while place > 0:
        path = _existing(text[:place])
        if path is not None:
            return path, text[place + 1 :] or None
        place = text.rfind("!", 0, place)
    return Path(text), None


def is_file_location(location: str) -> bool:
    """Whether a text is the location of a file that is there; a specification may be longer than a name can be."""
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
        VectorFileError: if it is missing, a folder, or a broken archive; if a zip has several members and none is
            named, or the one named is missing or encrypted; while reading, if a packed file is broken or unpacks to
            more than ``MAX_EXPANSION`` times its size (and more than ``FREE_EXPANSION`` bytes).
    """
    try:
        path, member = split_location(location)
        with ExitStack() as stack:
            yield _opened(path, member, stack)
    except FileNotFoundError as error:
        raise VectorFileError(f"{location}: no such file of vectors") from error
    except IsADirectoryError as error:
        raise VectorFileError(f"{location}: a folder, not a file of vectors") from error
    except OSError as error:
        raise VectorFileError(f"{location}: cannot be read ({error.strerror or error})") from error


def _opened(path: Path, member: str | None, stack: ExitStack) -> Stream:
    raw: BufferedReader[Any] = BufferedReader(stack.enter_context(path.open("rb", buffering=0)), BLOCK)
    size = path.stat().st_size
    start = raw.peek(4)[:4]
    if start in ZIP_MAGICS:
        with _unbroken(path, "zip"):
            archive = stack.enter_context(zipfile.ZipFile(raw))
        info = _member(archive, path, member)
        name = f"{path}!{info.filename}"
        with _unbroken(name, "zip"):
            packed = stack.enter_context(archive.open(info))
        file: BufferedReader[Any] = BufferedReader(_Bounded(packed, info.compress_size, name, "zip"), BLOCK)
        return Stream(file, lambda: file.tell() / max(info.file_size, 1), name, None)
    if member is not None:
        raise VectorFileError(f"{path}: not a zip file, so it has no member {member!r}; leave out the !")
    if start[:2] == GZIP_MAGIC:
        unzipped = stack.enter_context(gzip.GzipFile(fileobj=raw))
        file = BufferedReader(_Bounded(cast(IO[bytes], unzipped), size, str(path), "gzip"), BLOCK)
        return Stream(file, lambda: raw.tell() / size, str(path), None)
    return Stream(raw, lambda: raw.tell() / max(size, 1), str(path), path)


def _member(archive: zipfile.ZipFile, path: Path, member: str | None) -> zipfile.ZipInfo:
    """The member that is named, or the only one that can be meant."""
    infos = [info for info in archive.infolist() if not info.is_dir() and not _is_litter(info.filename)]
    names = [info.filename for info in infos]
    shown = ", ".join(names[:SHOWN_MEMBERS]) + (", …" if len(names) > SHOWN_MEMBERS else "")
    if member is not None:
        if member not in names:
            raise VectorFileError(f"{path}: no member is called {member!r}; there are: {shown or 'none'}")
        chosen = infos[names.index(member)]
    elif len(names) == 1:
        chosen = infos[0]
    else:
        say = f"say which one: {path}!{names[0]}; there are: {shown}" if names else "nothing to read"
        raise VectorFileError(f"{path}: the zip file has {len(names)} members: {say}")
    if chosen.flag_bits & 1:
        raise VectorFileError(f"{path}!{chosen.filename}: encrypted; unpack it with its password first")
    return chosen


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


class _Bounded(io.RawIOBase):
    """An unpacked stream that stops before it fills the memory."""

    def __init__(self, file: IO[bytes], packed: int, name: str, kind: str) -> None:
        self._file, self._packed, self._name, self._kind, self._n_read = file, packed, name, kind, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _unbroken(self._name, self._kind):
            block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        self._n_read += len(block)
        if self._n_read > max(FREE_EXPANSION, MAX_EXPANSION * self._packed):
            raise VectorFileError(f"{self._name}: unpacks to more than {MAX_EXPANSION} times its size, as no vectors "
                                  "do")
        return len(block)

    def tell(self) -> int:
        return self._n_read


@contextmanager
def _unbroken(name: str | Path, kind: str) -> Iterator[None]:
    """Turn whatever a broken archive brings about into one message."""
    try:
        yield
    except BROKEN as error:
        raise VectorFileError(f"{name}: broken {kind} file ({error}); fetch it again") from error
