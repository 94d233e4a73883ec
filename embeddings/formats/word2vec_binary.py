"""Word2vec's binary files (``-binary 1``): a header line, then each word, a space and its numbers as float32.

Format: https://code.google.com/archive/p/word2vec/. Some writers put a line end after each row, others none.
"""

from __future__ import annotations

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import RowSelection, VectorRows
from embeddings.table.memmap import RowBuffer

MAX_HEADER = 64
MAX_WORD = 2**16
MAX_DIM = 2**20
BLOCK = 2**22
ROWS_A_TELLING = 8192


def read_header(stream: Stream) -> tuple[int, int]:
    """Read the first line: number of rows, and width.

    Raises:
        VectorFileError: if it is something else.
    """
    line = stream.file.readline(MAX_HEADER)
    fields = line.split()
    if not (line.endswith(b"\n") and len(fields) == 2 and all(field.isdigit() for field in fields)):
        raise VectorFileError(f"{stream.name}: not a word2vec binary file: the first line is not 'rows width'")
    n_rows, dim = map(int, fields)
    if not 1 <= dim <= MAX_DIM:
        raise VectorFileError(f"{stream.name}: the first line announces {dim} numbers a row")
    return n_rows, dim


def read_word2vec_binary(stream: Stream, selection: RowSelection) -> VectorRows:
    """Read the selection rows; of a word that stands twice the first is taken.

    Raises:
        VectorFileError: if the header is broken or the file ends before the last row; the message gives the row.
    """
    n_rows, dim = read_header(stream)
    width = 4 * dim
    encoded = selection.encoded
    kept: dict[str, None] = {}
    rows = RowBuffer()
    buffer, start = b"", 0
    for row in range(n_rows if selection.limit is None else min(n_rows, selection.limit)):
        if not row % ROWS_A_TELLING:
            selection.tell(stream.share())
        space = buffer.find(b" ", start)
        if space < 0 or len(buffer) < space + 1 + width:
            buffer, start = _refilled(stream, buffer[start:], row, n_rows, width), 0
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


def _refilled(stream: Stream, rest: bytes, row: int, n_rows: int, width: int) -> bytes:
    """The rest of a block and as much of the file behind it as holds a whole row."""
    while True:
        more = stream.file.read(BLOCK)
        rest += more
        space = rest.find(b" ", 0, MAX_WORD)
        if space >= 0 and len(rest) >= space + 1 + width:
            return rest
        if space < 0 and len(rest) >= MAX_WORD:
            raise VectorFileError(f"{stream.name}: row {row + 1}: no word: {MAX_WORD} bytes without a space")
        if not more:
            raise VectorFileError(f"{stream.name}: cut off in row {row + 1} of {n_rows}; fetch or write it again")
