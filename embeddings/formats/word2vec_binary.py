"""Word2vec's binary format (``-binary 1``): a header line, then each word, a space and its vector as float32.

Format: https://code.google.com/archive/p/word2vec/. Some writers end each row with a line break, others do not. A space
ends the word, but gensim also writes words that contain one: then the next row would not begin where a row can begin,
and the word is read up to the space from which it does.
"""

from __future__ import annotations

import logging
from itertools import count
from pathlib import Path

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import Format, RowSelection, VectorRows, is_encodable, vector_format
from embeddings.formats.text import DIGITS_AND_SIGNS, MAX_DIGITS
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import RowBuffer

MAX_HEADER = 64
MAX_WORD = 2**16
MAX_DIM = 2**20
BLOCK = 2**22
ROWS_PER_UPDATE = 8192  # rows between two calls of the progress callback
NEVER_IN_TEXT = bytes(set(range(32)) - set(b"\t\n\r\f\v"))
CONTROLS = bytes([*range(32), 127])
LOOK = 256              # bytes in which the end of a word with spaces, or the next word, is searched
MAX_UNCLEAR = 3         # consecutive rows after which no word begins; one may be a word of unusual bytes

log = logging.getLogger("vecformer")


@vector_format("word2vec binary")
class Word2VecBinary(Format):
    """Word2vec's binary files."""

    priority = 30  # after formats with a signature, before text, which has the same header line
    suffixes = (".bin",)
    is_cached = True

    def matches(self, stream: Stream, start: bytes) -> bool:
        """Check the header line, and that it is not followed by a line of text with as many numbers.

        That is, the rest contains a byte that is never in text, or a line break where a binary row would end.
        """
        header, _, rest = start.partition(b"\n")
        fields = header.split()
        if len(fields) != 2 or not all(field.isdigit() and len(field) < MAX_DIGITS for field in fields):
            return False
        dim = int(fields[1])
        row = rest.partition(b"\n")[0].split()
        if len(row) > dim > 0 and not b"".join(row[-dim:]).translate(None, DIGITS_AND_SIGNS):
            return False
        end = rest.find(b" ") + 1 + 4 * dim
        fits = 4 * dim < end <= len(rest) and rest[end : end + 1] in (b"\n", b"")
        return fits or len(rest.translate(None, NEVER_IN_TEXT)) < len(rest) or not _is_utf8(rest)

    def read(self, stream: Stream, selection: RowSelection) -> VectorRows:
        """Read the selected rows; of a repeated word the first.

        Rows after the announced ones are read too, with a warning.
        """
        n_rows, dim = _read_header(stream)
        encoded = selection.encoded
        kept: dict[str, None] = {}
        rows = RowBuffer()
        reader = _RowReader(stream, n_rows, 4 * dim)
        row = 0
        for row in count():
            if not row % ROWS_PER_UPDATE:
                selection.progress(stream.progress())
            raw = None if row == selection.limit else reader.next(row)
            if raw is None:
                break
            if encoded is not None and row >= selection.n_frequent and raw not in encoded:
                continue
            word = raw.decode("utf-8", errors="replace")
            if word not in kept and selection.keep(word, row):
                kept[word] = None
                rows.add(reader.vector())
        if n_rows < row != selection.limit:
            log.warning("%s: the first line announces %d rows, but the file has more: %d rows were read", stream.name,
                        n_rows, row)
        return VectorRows(list(kept), rows.vectors(dim))

    def can_hold(self, word: str, dim: int, suffix: str) -> bool:
        """Refuse words that contain a space or start with a line break."""
        return " " not in word and not word.startswith("\n") and is_encodable(word)

    def write(self, table: EmbeddingTable, path: Path) -> None:
        """Write the header line and the rows, each with a line break."""
        with path.open("wb") as file:
            file.write(f"{len(table)} {table.dim}\n".encode())
            file.writelines(word.encode() + b" " + row.astype("<f4").tobytes() + b"\n"
                            for word, row in zip(table.words, table.vectors, strict=True))


def _read_header(stream: Stream) -> tuple[int, int]:
    """Read the number of rows and the dimension."""
    line = stream.file.readline(MAX_HEADER)
    fields = line.split()
    if not (line.endswith(b"\n") and len(fields) == 2 and all(field.isdigit() for field in fields)):
        raise VectorFileError(f"{stream.name}: not a word2vec binary file: the first line is not 'rows dimension'")
    n_rows, dim = map(int, fields)
    if not 1 <= dim <= MAX_DIM:
        raise VectorFileError(f"{stream.name}: the first line announces {dim} numbers per row")
    return n_rows, dim


class _RowReader:
    """Finds the rows of a file, and checks that each begins where a row can begin.

    Args:
        stream: the file, after its header.
        n_rows: number of announced rows.
        width: bytes of a vector.
    """

    def __init__(self, stream: Stream, n_rows: int, width: int) -> None:
        self._stream, self._n_rows, self._width = stream, n_rows, width
        self._buffer, self._end, self._has_ended = b"", 0, False
        self._line_breaks: bool | None = None  # whether rows end with one; None before the first row
        self._n_unclear = 0

    def next(self, row: int) -> bytes | None:
        """Move to a row, and return its word; None at the end of the file.

        Raises:
            VectorFileError: if the file is truncated in an announced row, or the next row does not begin where one can.
        """
        while len(self._buffer) - self._end < 2 * LOOK + self._width and not self._has_ended:
            self._fill()
        space = self._buffer.find(b" ", self._end)
        while space < 0 or len(self._buffer) < space + 1 + self._width:
            n_left = len(self._buffer) - self._end
            if self._has_ended or (space < 0 and n_left >= MAX_WORD):
                self._check_end(row, n_left)
                return None
            self._fill()
            space = self._buffer.find(b" ")
        start = self._end
        if not self._begins_row(space + 1 + self._width):
            space = self._last_space(row, start, space)
        else:
            self._n_unclear = 0
        self._end = space + 1 + self._width
        if self._line_breaks is None:
            self._line_breaks = self._buffer[self._end : self._end + 1] == b"\n"
        return self._buffer[start:space].lstrip(b"\n")

    def vector(self) -> bytes:
        """Return the vector of the current row."""
        return self._buffer[self._end - self._width : self._end]

    def _fill(self) -> None:
        more = self._stream.file.read(BLOCK)
        self._buffer, self._end, self._has_ended = self._buffer[self._end :] + more, 0, not more

    def _begins_row(self, place: int) -> bool:
        """Return whether a row can begin at a position: after a line break if rows have one, else with a word."""
        buffer = self._buffer
        if self._line_breaks:
            return buffer[place : place + 1] in (b"\n", b"")
        if self._is_short(place):
            return not buffer[place:].strip(b"\n")
        if buffer[place : place + 1] == b"\n":
            return True
        space = buffer.find(b" ", place, place + LOOK)
        word = buffer[place : space if space >= 0 else place + LOOK]
        return word.isalnum() or _is_clean(word)

    def _is_short(self, place: int) -> bool:
        """Return whether less than a row is left at a position."""
        return self._has_ended and len(self._buffer) - place < self._width + 2

    def _last_space(self, row: int, start: int, space: int) -> int:
        """Return the space that ends a word which contains spaces; the given one if there is no such word."""
        later = space
        while (later := self._buffer.find(b" ", later + 1, start + LOOK)) >= 0:
            word = self._buffer[start:later].lstrip(b"\n")
            if not _is_clean(word):  # these are the bytes of a vector
                break
            if not word.endswith(b" ") and later + 1 + self._width <= len(self._buffer) and self._begins_row(
                    later + 1 + self._width):
                return later
        if self._is_short(space + 1 + self._width):  # a truncated row, which is reported next
            return space
        self._n_unclear += 1
        if row + 1 < self._n_rows and (self._line_breaks or self._n_unclear == MAX_UNCLEAR):
            first = row + 1 - (self._n_unclear - 1)
            raise VectorFileError(f"{self._stream.name}: row {first}: the next row does not begin where rows of this "
                                  "file begin; the file is broken, or not all of its rows have the announced "
                                  "dimension: download or write it again")
        return space

    def _check_end(self, row: int, n_left: int) -> None:
        """Check what is left when no further row was found.

        Raises:
            VectorFileError: if it is part of an announced row; or if rows without line breaks are followed by other
                bytes, so that it is unknown where rows begin.
        """
        name = self._stream.name
        if row < self._n_rows:
            if n_left >= MAX_WORD:
                raise VectorFileError(f"{name}: row {row + 1}: no word within {MAX_WORD} bytes; download or write the "
                                      "file again")
            raise VectorFileError(f"{name}: truncated in row {row + 1} of {self._n_rows}; download or write it again")
        if not self._buffer[self._end :].strip(b"\n"):
            return
        if not self._line_breaks:
            raise VectorFileError(f"{name}: {n_left} bytes after row {row} are not a complete row; the file is "
                                  "broken: download or write it again")
        log.warning("%s: the last %d bytes are not a row and are ignored", name, n_left)


def _is_clean(word: bytes) -> bool:
    """Return whether bytes are a word: UTF-8 without control characters."""
    return bool(word) and len(word.translate(None, CONTROLS)) == len(word) and _decodes(word)


def _decodes(word: bytes) -> bool:
    try:
        word.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_utf8(sample: bytes) -> bool:
    try:
        sample[:-4].decode("utf-8")  # the last character may be incomplete
    except UnicodeDecodeError:
        return False
    return True
