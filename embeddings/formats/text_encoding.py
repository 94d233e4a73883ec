"""Encodings of vector files and word lists: byte-order marks, UTF-16 and UTF-32; everything else is UTF-8."""

from __future__ import annotations

import codecs
import io
from io import BufferedReader
from typing import Any

from embeddings.compressed_files import BLOCK, Stream
from embeddings.errors import VectorFileError

UTF8_MARK = codecs.BOM_UTF8
MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE = 2**12
MIN_ZEROS = 0.4  # share of zero bytes among those at even or odd positions, in UTF-16 without a mark


def wide_encoding(start: bytes) -> str | None:
    """Return the Python name of a file's encoding if it is UTF-16 or UTF-32, given its first bytes."""
    marked = next((name for mark, name in MARKS if start.startswith(mark)), None)
    even, odd = start[:SAMPLE:2], start[1:SAMPLE:2]
    if marked is not None or len(odd) < 2:
        return marked
    if even.count(0) == 0 and odd.count(0) > MIN_ZEROS * len(odd):
        return "utf-16-le"
    return "utf-16-be" if odd.count(0) == 0 and even.count(0) > MIN_ZEROS * len(even) else None


def utf8_file(stream: Stream) -> BufferedReader[Any]:
    """Return the bytes of a text file as UTF-8.

    Raises:
        VectorFileError: while reading, if a UTF-16 or UTF-32 file is broken.
    """
    encoding = wide_encoding(stream.file.peek(SAMPLE)[:SAMPLE])
    return stream.file if encoding is None else recoded(stream.file, stream.name, encoding)


def recoded(file: BufferedReader[Any], name: str, encoding: str) -> BufferedReader[Any]:
    """Return the bytes of a file in another encoding as UTF-8; raises as :func:`utf8_file`."""
    return BufferedReader(_Utf8(file, name, encoding), BLOCK)


def without_mark(line: bytes) -> bytes:
    """Remove the byte-order mark of a file's first line, unless the mark is the word of that line."""
    rest = line.removeprefix(UTF8_MARK)
    return line if rest[:1] in (b" ", b"\t") else rest


def decode_list(content: bytes, name: object) -> str:
    """Decode the content of a word list; invalid bytes of UTF-8 become the replacement character.

    Raises:
        VectorFileError: if a UTF-16 or UTF-32 file is broken.
    """
    encoding = wide_encoding(content[:SAMPLE])
    if encoding is None:
        return content.decode("utf-8", errors="replace").removeprefix("\ufeff")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise VectorFileError(_broken(name, encoding, error)) from error


class _Utf8(io.RawIOBase):
    """A UTF-16 or UTF-32 file, encoded as UTF-8."""

    def __init__(self, file: BufferedReader[Any], name: str, encoding: str) -> None:
        self._file, self._name, self._encoding = file, name, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._rest = memoryview(b"")
        self._has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._has_ended:
            block = self._file.read(BLOCK)
            self._has_ended = not block
            try:
                text = self._decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise VectorFileError(_broken(self._name, self._encoding, error)) from error
            self._rest = memoryview(text.encode(errors="replace"))
        n = min(len(buffer), len(self._rest))
        buffer[:n], self._rest = self._rest[:n], self._rest[n:]
        return n


def _broken(name: object, encoding: str, error: UnicodeDecodeError) -> str:
    return (f"{name}: not {encoding.upper()}, although it begins so ({error.reason}); convert the file to UTF-8, "
            "or write it again")
