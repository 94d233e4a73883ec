"""Any file of word vectors: what it is is told by its content, never by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from embeddings.compressed_files import Stream, open_location, split_location
from embeddings.errors import VectorFileError
from embeddings.formats.fasttext_binary import MAGIC as FASTTEXT_MAGIC
from embeddings.formats.fasttext_binary import read_fasttext_binary
from embeddings.formats.gensim import read_pickle
from embeddings.formats.interface import RowSelection, VectorRows
from embeddings.formats.npy import read_matrix_tensor, read_npy
from embeddings.formats.own_table import is_native, read_native
from embeddings.formats.text import DIGITS_AND_SIGNS, MAX_DIGITS, read_text
from embeddings.formats.word2vec_binary import read_word2vec_binary
from embeddings.table.memmap import row_blocks

TEXT = "text"
WORD2VEC = "word2vec binary"
FASTTEXT = "fastText model"
TABLE = "vecformer table"
SAFETENSORS = "safetensors"
NUMPY = "numpy array"
PICKLE = "pickle"

STREAMED: dict[str, Callable[[Stream, RowSelection], VectorRows]] = {
    TEXT: read_text, WORD2VEC: read_word2vec_binary, FASTTEXT: read_fasttext_binary,
}
MAPPED: dict[str, Callable[[Path, RowSelection], VectorRows]] = {
    TABLE: read_native, SAFETENSORS: read_matrix_tensor, NUMPY: read_npy, PICKLE: read_pickle,
}
CACHED = (TEXT, WORD2VEC)  # the rest is mapped into memory, or needs files beside it
TABLE_OF_A_RUN = "embeddings.safetensors"
SAMPLE = 2**16
NEVER_IN_TEXT = bytes(set(range(32)) - set(b"\t\n\r\f\v"))


def read_vectors(location: str | Path, selection: RowSelection = RowSelection()) -> VectorRows:  # noqa: B008 (a frozen value)
    """Read the selection rows of any file of word vectors.

    Args:
        location: a file, ``archive.zip!member``, or the folder of a run, whose table is read.
        selection: which rows.

    Raises:
        VectorFileError: if the location is missing, of no known kind, broken, or holds a vector that is not finite.
    """
    path = _inside(location)
    with open_location(path) as stream:
        kind = _kind(stream)
        if kind in STREAMED:
            rows = STREAMED[kind](stream, selection)
        elif stream.path is None:
            raise VectorFileError(f"{stream.name}: {kind}, which cannot be read out of an archive; unpack it first")
        else:
            rows = MAPPED[kind](stream.path, selection)
    if not rows.vectors.shape[1]:
        raise VectorFileError(f"{location}: vectors of width 0")
    for place, (block,) in row_blocks(rows.vectors):
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            word = rows.words[place][int(finite.argmin())]
            raise VectorFileError(f"{location}: the vector of {word!r} is not finite")
    return rows


def detect_format(location: str | Path) -> str:
    """Name the format of a file of word vectors.

    Raises:
        VectorFileError: if the location is missing or empty.
    """
    with open_location(_inside(location)) as stream:
        return _kind(stream)


def _inside(location: str | Path) -> str | Path:
    """The table within, if the location is the folder of a run."""
    path, _ = split_location(location)
    try:
        return path / TABLE_OF_A_RUN if (path / TABLE_OF_A_RUN).is_file() else location
    except OSError:  # a name too long for one, which opening it will say
        return location


def _kind(stream: Stream) -> str:
    start = stream.file.peek(SAMPLE)[:SAMPLE]
    if not start:
        raise VectorFileError(f"{stream.name}: the file is empty")
    if start.startswith(FASTTEXT_MAGIC):
        return FASTTEXT
    if start.startswith(b"\x93NUMPY"):
        return NUMPY
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return PICKLE
    if start[8:9] == b"{" and start[5:8] == b"\0\0\0":
        return TABLE if stream.path is not None and is_native(stream.path) else SAFETENSORS
    return WORD2VEC if _is_word2vec_binary(start) else TEXT


def _is_word2vec_binary(start: bytes) -> bool:
    """Whether a header line is followed by something else than a line of text with as many numbers.

    That is, by a byte that no text holds, or by as many bytes as the numbers take up between a space and a line end.
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


def _is_utf8(sample: bytes) -> bool:
    try:
        sample[:-4].decode("utf-8")  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True
