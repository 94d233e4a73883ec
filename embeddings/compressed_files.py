"""Byte streams of plain files, of gzip, bzip2, xz and Zstandard files, and of members of zip archives.

Compression is detected by content, never by name. Nothing is decompressed to disk.

A location is a path, or ``archive.zip!member``, such as ``glove.6B.zip!glove.6B.300d.txt``.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

from embeddings.errors import CompressedFileError, VectorFileError
from embeddings.table.atomic_files import restore

GZIP, BZIP2, XZ, ZSTD = "gzip", "bzip2", "xz", "zstd"
SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
"""Usual suffixes of compressed files, for searching folders; the compression itself is detected by content."""
MAGICS = (
    (b"\x1f\x8b", GZIP),
    (b"\xfd7zXZ\0", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    *((bytes([0x50 + i]) + b"\x2a\x4d\x18", ZSTD) for i in range(16)),  # skippable frames, with which pzstd begins
)
BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # after BZh and a digit, which may begin a text: first block, or end
UNREAD = {b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!\x1a\x07": "RAR", b"\x04\x22\x4d\x18": "LZ4", b"LZIP\x01": "lzip",
          b"\x1f\x9d": "compress (.Z)"}
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
N_MAGIC = 10           # bytes that identify a format
MAX_WINDOW = 2**27     # of Zstandard, `zstd --long`; a header can announce any number
MAX_MEMORY = 2**28     # of xz; its strongest setting takes a quarter
ZSTD_INPUT = 2**12     # expands to at most 128 MiB
BLOCK = 2**20          # smaller blocks split lines of 300 numbers more often and halve the speed
FREE_EXPANSION = 2**30
MAX_EXPANSION = 200    # numbers and text take a tenth to a half; more is a decompression bomb
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


def compression(start: bytes, name: str | Path) -> str | None:
    """Return how a file is compressed; None for a plain file.

    Args:
        start: its first bytes, at least ``N_MAGIC`` unless it is shorter.
        name: name of the file, for the message.

    Raises:
        CompressedFileError: if its compression is not supported.
    """
    for magic, kind in UNREAD.items():
        if start.startswith(magic):
            raise CompressedFileError(f"{name}: {kind} files are not supported; decompress it first")
    if start[:3] == b"BZh" and start[4:10] in BZIP2_BLOCKS:
        return BZIP2
    return next((kind for magic, kind in MAGICS if start.startswith(magic)), None)


def decompressed(file: BufferedReader[Any], name: str | Path) -> BufferedReader[Any]:
    """Return the bytes of a file, decompressed if its content (not its name) is gzip, bzip2, xz or Zstandard.

    Args:
        file: the file, at its start.
        name: its name, for messages.

    Raises:
        CompressedFileError: if its compression is not supported; while reading, if it is broken or truncated,
            or expands to more than ``MAX_EXPANSION`` times its size (and more than ``FREE_EXPANSION`` bytes).
    """
    kind = compression(file.peek(N_MAGIC)[:N_MAGIC], name)
    if kind is None:
        return file
    unpacked = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if kind == GZIP else _Streams(file, kind)
    return BufferedReader(_Bounded(unpacked, _size(file), name, kind), BLOCK)


def read_decompressed(path: Path) -> bytes:
    """Return the whole content of a file, decompressed; raises as :func:`decompressed`, and OSError."""
    with path.open("rb") as file:
        return decompressed(file, path).read()


def refuse_tar(start: bytes, name: str | Path) -> None:
    """Check that a file, of which the first 512 bytes are given, is not a tar archive.

    Raises:
        CompressedFileError: if it is one.
    """
    if start[257:262] == b"ustar":
        raise CompressedFileError(f"{name}: tar archives are not supported; extract it first: tar xf FILE")


def split_location(location: str | Path) -> tuple[Path, str | None]:
    """Split ``archive!member`` into file and member; the file is the longest existing path."""
    text = str(location)
    if "\0" in text:
        raise VectorFileError(f"{text!r}: not a file name, because it contains a null character")
    place = len(text)
    while place > 0:
        path = existing(text[:place])
        if path is not None:
            return path, text[place + 1 :] or None
        place = text.rfind("!", 0, place)
    return Path(text), None


def is_file_location(location: str) -> bool:
    """Return whether a text is the location of an existing file; it may be too long for a file name."""
    try:
        path = split_location(location)[0]
        restore(path)
        return path.is_file()
    except (OSError, VectorFileError):
        return False


def existing(text: str) -> Path | None:
    """Return the path of a text, if something exists there."""
    try:
        path = Path(text).expanduser()
        path.stat()
    except (OSError, RuntimeError, ValueError):  # RuntimeError for ~nobody, ValueError for a null character
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
    except CompressedFileError as error:
        raise VectorFileError(str(error)) from error
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
    file = decompressed(raw, path)
    return Stream(file, lambda: raw.tell() / max(size, 1), str(path), path if file is raw else None)


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


def _size(file: BufferedReader[Any]) -> int:
    """Return the number of bytes of a file; a pipe has no size, so nothing limits what it expands to."""
    if not file.seekable():
        return sys.maxsize
    here = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(here)
    return size


class _Zstd:
    """A decompressor of one Zstandard frame."""

    needs_input = True  # all input is consumed at once

    def __init__(self) -> None:
        from zstandard import ZstdDecompressor

        self._frame = ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data

    def decompress(self, data: bytes, _max_length: int) -> bytes:
        return self._frame.decompress(data)


_Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor | _Zstd


def _decompressor(kind: str) -> _Decompressor:
    if kind == BZIP2:
        return bz2.BZ2Decompressor()
    if kind == XZ:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY)
    return _Zstd()


class _Streams(io.RawIOBase):
    """The concatenated streams of a compressed file; zeros between and after them are padding.

    Unlike the files of :mod:`bz2` and :mod:`lzma`, it refuses anything else after a stream, since these cannot tell
    foreign bytes from a damaged second stream, which they leave out.
    """

    def __init__(self, file: IO[bytes], kind: str) -> None:
        self._file, self._kind = file, kind
        self._block = ZSTD_INPUT if kind == ZSTD else BLOCK
        self._stream: _Decompressor | None = None  # None between two streams
        self._input = b""

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, more than ``size`` for Zstandard; ``b""`` at the end."""
        while True:
            if not self._input and (self._stream is None or self._stream.needs_input):
                self._input = self._file.read(self._block)
                if not self._input:
                    if self._stream is None:
                        return b""
                    raise EOFError("it ends before the end of the compressed data")
            if self._stream is None:
                self._input = self._input.lstrip(b"\0")
                if not self._input:
                    continue
                self._stream = _decompressor(self._kind)
            try:
                unpacked = self._stream.decompress(self._input, size)
            except Exception as error:  # OSError, LZMAError or ZstdError, as distinct from an error of the disk
                raise ValueError(str(error)) from error
            self._input = self._stream.unused_data if self._stream.eof else b""
            if self._stream.eof:
                self._stream = None
            if unpacked:
                return unpacked


class _Bounded(io.RawIOBase):
    """A decompressed stream with a limit on its expansion."""

    def __init__(self, file: IO[bytes] | _Streams, packed: int, name: str | Path, kind: str) -> None:
        self._file, self._packed, self._name, self._kind = file, packed, name, kind
        self._n_read, self._rest = 0, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            with _reports_broken(self._name, self._kind):
                self._rest = memoryview(self._file.read(len(buffer)))
        n = min(len(buffer), len(self._rest))
        buffer[:n], self._rest = self._rest[:n], self._rest[n:]
        self._n_read += n
        if self._n_read > max(FREE_EXPANSION, MAX_EXPANSION * self._packed):
            raise CompressedFileError(f"{self._name}: expands to more than {MAX_EXPANSION} times its size; not "
                                      "a text or vector file")
        return n

    def tell(self) -> int:
        return self._n_read


@contextmanager
def _reports_broken(name: str | Path, kind: str) -> Iterator[None]:
    """Turn the exceptions of a broken archive into one message."""
    try:
        yield
    except BROKEN_ARCHIVE as error:
        if "emory" in str(error):  # "Memory usage limit exceeded", "Frame requires too much memory"
            raise CompressedFileError(f"{name}: needs more memory to unpack than allowed ({error}); unpack it first, "
                                      f"with {kind}") from error
        raise CompressedFileError(f"{name}: broken {kind} file ({error}); download or write it again") from error
    except OSError as error:
        if error.errno is not None:  # of the disk; bzip2 in a zip archive raises others
            raise
        raise CompressedFileError(f"{name}: broken {kind} file ({error}); download or write it again") from error
