"""Text files: a word and its numbers on each line, as written by GloVe, word2vec and fastText.

Format: https://nlp.stanford.edu/projects/glove/ (no header), word2vec's ``-binary 0`` (first line ``n_words dim``).
Fields are separated by spaces or tabs. A byte-order mark and blank lines are passed over; UTF-16 and UTF-32 are read.
"""

from __future__ import annotations

import gzip
import logging
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import (
    REPLACEMENT,
    Format,
    RowSelection,
    VectorRows,
    is_encodable,
    vector_format,
)
from embeddings.formats.text_encoding import utf8_file, without_mark
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import RowBuffer
from embeddings.table.row_maps import Vectors

LINES_TO_GUESS_FROM = 50
LINES_PER_UPDATE = 8192  # lines between two calls of the progress callback
ROWS_PER_BLOCK = 4096
BYTES_PER_PARSE = 2**20  # of text; parsing takes several times as much memory
MAX_LINE = 2**22  # enough for 200,000 numbers; a file without line breaks must not fill the memory
MAX_DIGITS = 18
MAX_BROKEN = 0.01  # share of words that are not UTF-8, above which there is a warning
DIGITS_AND_SIGNS = b"0123456789+-.eE"
NUMERIC = DIGITS_AND_SIGNS + b" \t\r\n"
SPACES = re.compile(rb" {2,}")

log = logging.getLogger("vecformer")


@dataclass(frozen=True)
class _Layout:
    dim: int
    n_announced: int | None  # rows announced by the header line, if there is one

    @property
    def n_before(self) -> int:
        """Number of lines before the first row."""
        return int(self.n_announced is not None)


@vector_format("text")
class TextFormat(Format):
    """Text files: ``.txt`` as GloVe's, ``.vec`` with a header line, both also compressed with gzip."""

    priority = 100  # last: any file may be text
    suffixes = (".txt", ".txt.gz", ".vec", ".vec.gz")
    is_cached = True

    def matches(self, stream: Stream, start: bytes) -> bool:
        """Accept every file."""
        return True

    def read(self, stream: Stream, selection: RowSelection) -> VectorRows:
        """Read the selected rows.

        A word may contain spaces: the numbers are counted from the right. Of a repeated word the first row is read. A
        row whose first field cannot start a selected word is skipped without parsing.
        """
        lines = iter(partial(utf8_file(stream).readline, MAX_LINE), b"")
        first, n_blank = without_mark(next(lines, b"")), 0
        while first.isspace():
            first, n_blank = next(lines, b""), n_blank + 1
        head = [first, *islice(lines, LINES_TO_GUESS_FROM - 1)]
        layout = _layout(head, stream.name, n_blank + 1)
        rows = _Rows(layout, stream.name)
        first_fields = _first_fields(selection)
        n_parsed = sys.maxsize if selection.encoded is None else selection.n_frequent
        shortest = 2 * layout.dim  # every number takes a digit and a separator
        row = 0
        for number, line in enumerate(chain(head[layout.n_before :], lines), start=n_blank + layout.n_before + 1):
            if row == selection.limit:
                break
            if not number % LINES_PER_UPDATE:
                selection.progress(stream.progress())
            if row >= n_parsed:
                place = line.find(b" ")
                field = line[:place]
                if field not in first_fields and place > 0 and shortest < len(line) < MAX_LINE and b"\t" not in field:
                    row += 1
                    continue
            if line.isspace():
                continue
            rows.offer(line, row, number, selection)
            row += 1
        announced = layout.n_announced
        if announced is not None and row < min(announced, selection.limit or announced):
            log.warning("%s: the first line announces %d rows, but the file has %d: shortened, or truncated",
                        stream.name, announced, row)
        _warn_of_replacements(rows.words, stream.name)
        return VectorRows(list(rows.words), rows.vectors())

    def can_hold(self, word: str, dim: int, suffix: str) -> bool:
        """Refuse words with tabs, line breaks, surrounding spaces or a byte-order mark, and a row like a header."""
        if "\n" in word or "\t" in word or word != word.strip(" ") or not is_encodable(word):
            return False
        if word.startswith("\ufeff") and word != "\ufeff":
            return False
        return " " not in word if suffix.startswith(".vec") else not (dim == 1 and word.isdigit())

    def write(self, table: EmbeddingTable, path: Path) -> None:
        """Write the header line of ``.vec`` files, and the rows."""
        with _create(path) as file:
            if path.name.lower().removesuffix(".gz").endswith(".vec"):
                file.write(f"{len(table)} {table.dim}\n".encode())
            file.writelines(_lines(table))


def _create(path: Path) -> gzip.GzipFile | IO[bytes]:
    if path.suffix.lower() == ".gz":
        return gzip.GzipFile(path, "wb", mtime=0)  # the same table gives the same bytes
    return path.open("wb")


def _lines(table: EmbeddingTable) -> Iterator[bytes]:
    """Yield blocks of lines; each number has the fewest digits that identify its float32 value."""
    import pyarrow
    import pyarrow.compute as pc

    for start in range(0, len(table), ROWS_PER_BLOCK):
        rows = table.vectors[start : start + ROWS_PER_BLOCK]
        numbers = pyarrow.array(np.ascontiguousarray(rows).ravel()).cast(pyarrow.string())
        ends = np.arange(0, rows.size + 1, table.dim, dtype=np.int32)
        joined = pc.binary_join(pyarrow.ListArray.from_arrays(pyarrow.array(ends), numbers), " ")
        words = pyarrow.array(table.words[start : start + ROWS_PER_BLOCK], pyarrow.string())
        lines = pc.binary_join_element_wise(words, joined, " ")
        yield ("\n".join(lines.to_pylist()) + "\n").encode()


def _first_fields(selection: RowSelection) -> frozenset[bytes]:
    """Return the first fields of lines that may contain a selected word."""
    return frozenset(word.partition(b" ")[0] for word in selection.encoded or ())


def _warn_of_replacements(words: Collection[str], name: str) -> None:
    """Warn if many words are not UTF-8; a few are in most large files."""
    broken = [word for word in words if REPLACEMENT in word]
    if len(broken) > MAX_BROKEN * len(words):
        log.warning("%s: %d of %d words are not UTF-8, such as %r; convert the file, for instance with iconv", name,
                    len(broken), len(words), broken[0])


def _layout(lines: Sequence[bytes], name: str, number: int) -> _Layout:
    """Determine the layout from the first lines, of which the first is not blank and has the given number."""
    head = [line for line in lines if line and not line.isspace()]
    if not head:
        raise VectorFileError(f"{name}: the file has only blank lines; name a file with a word and its numbers on each")
    if not head[0].endswith(b"\n") and b"\r" in head[0].rstrip(b"\r"):
        raise VectorFileError(f"{name}:{number}: the lines end with \\r, as of old Mac files; convert it, for instance "
                              "with: tr '\\r' '\\n'")
    first = head[0].split()
    if len(first) == 2 and all(field.isdigit() and len(field) <= MAX_DIGITS for field in first):
        n_rows, announced = map(int, first)
        dim = _commonest_width(head[1:]) if len(head) > 1 else announced
        if 1 < dim < announced:
            raise VectorFileError(f"{name}:{number}: the first line announces {announced} numbers per row, but the "
                                  f"rows have {dim}; correct or delete it")
        if 0 < announced <= dim:  # otherwise one number per row, and the words are numbers
            return _Layout(announced, n_rows)
    dim = _commonest_width(head)
    if dim < 1:
        raise VectorFileError(f"{name}:{number}: expected a word and its numbers, found {_shown(head[0])}")
    return _Layout(dim, None)


def _commonest_width(lines: Sequence[bytes]) -> int:
    return Counter(map(_n_numbers, lines)).most_common(1)[0][0]


def _n_numbers(line: bytes) -> int:
    """Count the numbers at the end of a line, without the word (which may be a number or end in ``e``)."""
    tail = line[len(line.rstrip(NUMERIC)) :]
    return len(tail.split()) - (tail[:1] in DIGITS_AND_SIGNS) if tail.strip() else 0


class _Rows:
    """The rows read so far; their numbers are parsed in batches."""

    def __init__(self, layout: _Layout, name: str) -> None:
        self._layout, self._name = layout, name
        self.words: dict[str, None] = {}
        self._parsed = RowBuffer()
        self._pending: list[tuple[int, bytes]] = []
        self._n_pending = 0

    def offer(self, line: bytes, row: int, number: int, selection: RowSelection) -> None:
        """Split a line, whose number is given, into word and numbers, and keep it if it is selected."""
        word, numbers = self._split(line, number)
        if word in self.words or not selection.keep(word, row):
            return
        self.words[word] = None
        self._pending.append((number, numbers))
        self._n_pending += len(numbers)
        if self._n_pending > BYTES_PER_PARSE:
            self._parse()

    def vectors(self) -> Vectors:
        """Return the vectors of all kept rows. *Shape:* ``(n_words, dim)``."""
        self._parse()
        return self._parsed.vectors(self._layout.dim)

    def _split(self, line: bytes, number: int) -> tuple[str, bytes]:
        dim = self._layout.dim
        if len(line) == MAX_LINE:
            raise VectorFileError(f"{self._name}:{number}: the line is longer than {MAX_LINE} bytes; not a vector "
                                  "file, or broken")
        line = line.rstrip(b" \t\r\n").replace(b"\t", b" ")
        if line.count(b" ") == dim:  # the common case, several times faster than splitting off every number
            word, _, numbers = line.partition(b" ")
        else:
            fields = line.rsplit(b" ", dim)
            if b"" in fields[1:]:
                fields = SPACES.sub(b" ", line).rsplit(b" ", dim)
            if len(fields) != dim + 1:
                found = len(line.split()) - 1
                raise VectorFileError(f"{self._name}:{number}: expected {dim} numbers after the word, "
                                      f"found {max(found, 0)}")
            word, numbers = fields[0].strip(b" "), b" ".join(fields[1:])
        return word.decode("utf-8", errors="replace"), numbers

    def _parse(self) -> None:
        """Parse the pending rows together; if that fails, one by one, to find the invalid one."""
        if not self._pending:
            return
        parsed = _numbers(b" ".join(numbers for _, numbers in self._pending))
        if parsed is None or parsed.size != len(self._pending) * self._layout.dim:
            parsed = np.concatenate([self._parse_row(number, numbers) for number, numbers in self._pending])
        self._parsed.add(parsed.tobytes())
        self._pending.clear()
        self._n_pending = 0

    def _parse_row(self, number: int, numbers: bytes) -> Vectors:
        row = _numbers(numbers)
        if row is None or row.size != self._layout.dim:
            raise VectorFileError(f"{self._name}:{number}: expected {self._layout.dim} finite numbers, found "
                                  f"{_shown(numbers)}")
        return row


def _numbers(text: bytes) -> NDArray[np.float32] | None:
    """Parse numbers separated by single spaces, with the result of ``np.float32``; None if one is not finite."""
    import pyarrow
    import pyarrow.compute as pc

    try:
        fields = pc.split_pattern(pyarrow.array([text], pyarrow.string()), " ").flatten()
        parsed = fields.cast(pyarrow.float64()).to_numpy()
    except pyarrow.ArrowInvalid:
        return None
    with np.errstate(over="ignore"):
        vectors: NDArray[np.float32] = parsed.astype(np.float32)
    return vectors if np.isfinite(vectors).all() else None


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", errors="replace").strip()
    return repr(shown if len(shown) <= 60 else shown[:57] + "…")
