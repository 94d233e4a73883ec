"""Word2vec's binary format (``-binary 1``): a header line, then each word, a space and its vector as float32.

Format: https://code.google.com/archive/p/word2vec/. Some writers end each row with a line break, others do not.
"""

from __future__ import annotations

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
        """Read the selected rows; of a repeated word the first."""
        n_rows, dim = _read_header(stream)
        width = 4 * dim
        encoded = selection.encoded
        kept: dict[str, None] = {}
        rows = RowBuffer()
        buffer, start = b"", 0
        for row in range(n_rows if selection.limit is None else min(n_rows, selection.limit)):
            if not row % ROWS_PER_UPDATE:
                selection.progress(stream.progress())
            space = buffer.find(b" ", start)
            if space < 0 or len(buffer) < space + 1 + width:
                buffer, start = _refill(stream, buffer[start:], row, n_rows, width), 0
                space = buffer.find(b" ")
            raw = buffer[start:space].lstrip(b"\n")
            start = space + 1 + width
            if encoded is not None and row >= selection.n_frequent and raw not in encoded:
                continue
            word = raw.decode("utf-8", errors="replace")
            if word not in kept and selection.keep(word, row):
                kept[word] = None
                rows.add(buffer[space + 1 : start])
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


def _refill(stream: Stream, rest: bytes, row: int, n_rows: int, width: int) -> bytes:
    """Return the rest of a block, extended until it contains a whole row."""
    while True:
        more = stream.file.read(BLOCK)
        rest += more
        space = rest.find(b" ", 0, MAX_WORD)
        if space >= 0 and len(rest) >= space + 1 + width:
            return rest
        if space < 0 and len(rest) >= MAX_WORD:
            raise VectorFileError(f"{stream.name}: row {row + 1}: no word within {MAX_WORD} bytes; download or write "
                                  "the file again")
        if not more:
            raise VectorFileError(f"{stream.name}: truncated in row {row + 1} of {n_rows}; download or write it again")


def _is_utf8(sample: bytes) -> bool:
    try:
        sample[:-4].decode("utf-8")  # the last character may be incomplete
    except UnicodeDecodeError:
        return False
    return True
