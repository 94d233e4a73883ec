"""Vector files in text: a word and its numbers on each line, as GloVe, word2vec and fastText write them.

Format: https://nlp.stanford.edu/projects/glove/ (no header), word2vec's ``-binary 0`` (first line ``n_words dim``).
Fields are separated by spaces or tabs.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import RowSelection, VectorRows
from embeddings.table.memmap import RowBuffer
from embeddings.table.row_maps import Vectors

LINES_TO_GUESS_FROM = 50
LINES_A_TELLING = 8192
BYTES_A_PARSE = 2**20  # of text: what is parsed at once takes several times as much
MAX_LINE = 2**22  # room for 200,000 numbers; a file without line ends must not fill the memory
MAX_DIGITS = 18
DIGITS_AND_SIGNS = b"0123456789+-.eE"
NUMERIC = DIGITS_AND_SIGNS + b" \t\r\n"
SPACES = re.compile(rb" {2,}")

log = logging.getLogger("vecformer")


@dataclass(frozen=True)
class _Layout:
    dim: int
    n_promised: int | None  # rows that the header announces, if there is a header

    @property
    def n_before(self) -> int:
        """Lines before the first row."""
        return int(self.n_promised is not None)


def read_text(stream: Stream, selection: RowSelection) -> VectorRows:
    """Read the selection rows of a text vector file.

    A word may hold spaces: the numbers are counted from the right. Of a word that stands twice the first is taken. A
    row that is passed over, since its first field begins no selection word, is not looked at any further.

    Raises:
        VectorFileError: if the file is empty, or has a line with too few numbers or something that is no finite
            number; the message names the line.
    """
    lines = iter(partial(stream.file.readline, MAX_LINE), b"")
    head = list(islice(lines, LINES_TO_GUESS_FROM))
    layout = _layout(head, stream.name)
    rows = _Rows(layout, stream.name)
    first_fields = _first_fields(selection)
    n_looked_at = sys.maxsize if selection.encoded is None else selection.n_frequent
    shortest = 2 * layout.dim  # every number takes a digit and a separator
    row = -1
    for row, line in enumerate(islice(chain(head[layout.n_before :], lines), selection.limit)):
        if not row % LINES_A_TELLING:
            selection.tell(stream.share())
        if row >= n_looked_at:
            place = line.find(b" ")
            field = line[:place]
            if field not in first_fields and place > 0 and shortest < len(line) < MAX_LINE and b"\t" not in field:
                continue
        rows.offer(line, row, selection)
    if layout.n_promised is not None and row + 1 < min(layout.n_promised, selection.limit or layout.n_promised):
        log.warning("%s: the first line promises %d rows, but there are %d: shortened, or cut off",
                    stream.name, layout.n_promised, row + 1)
    return VectorRows(list(rows.words), rows.vectors())


def _first_fields(selection: RowSelection) -> frozenset[bytes]:
    """What the line of a selection word can begin with."""
    return frozenset(word.partition(b" ")[0] for word in selection.encoded or ())


def _layout(head: Sequence[bytes], name: str) -> _Layout:
    first = head[0].split()
    if len(first) == 2 and all(field.isdigit() and len(field) <= MAX_DIGITS for field in first):
        n_rows, announced = map(int, first)
        dim = _commonest_width(head[1:]) if len(head) > 1 else announced
        if 1 < dim < announced:
            raise VectorFileError(f"{name}:1: the first line announces {announced} numbers a row, but the rows have "
                                  f"{dim}; mend it or take it away")
        if 0 < announced <= dim:  # else a file of one number a row, whose words are numbers
            return _Layout(announced, n_rows)
    dim = _commonest_width(head)
    if dim < 1:
        raise VectorFileError(f"{name}:1: expected a word and its numbers, found {_shown(head[0])}")
    return _Layout(dim, None)


def _commonest_width(lines: Sequence[bytes]) -> int:
    return Counter(map(_n_numbers, lines)).most_common(1)[0][0]


def _n_numbers(line: bytes) -> int:
    """How many numbers a line ends with, the word (which may be a number, or end in ``e``) not counted."""
    tail = line[len(line.rstrip(NUMERIC)) :]
    return len(tail.split()) - (tail[:1] in DIGITS_AND_SIGNS) if tail.strip() else 0


class _Rows:
    """The rows kept so far; their numbers are parsed many at once."""

    def __init__(self, layout: _Layout, name: str) -> None:
        self._layout, self._name = layout, name
        self.words: dict[str, None] = {}
        self._parsed = RowBuffer()
        self._pending: list[tuple[int, bytes]] = []
        self._n_pending = 0

    def offer(self, line: bytes, row: int, selection: RowSelection) -> None:
        """Cut a line into word and numbers, and keep it if it is selection."""
        number = row + 1 + self._layout.n_before
        word, numbers = self._cut(line, number)
        if word in self.words or not selection.keep(word, row):
            return
        self.words[word] = None
        self._pending.append((number, numbers))
        self._n_pending += len(numbers)
        if self._n_pending > BYTES_A_PARSE:
            self._parse()

    def vectors(self) -> Vectors:
        """All that were kept. *Shape:* ``(n_words, dim)``."""
        self._parse()
        return self._parsed.vectors(self._layout.dim)

    def _cut(self, line: bytes, number: int) -> tuple[str, bytes]:
        dim = self._layout.dim
        if len(line) == MAX_LINE:
            raise VectorFileError(f"{self._name}:{number}: a line of more than {MAX_LINE} bytes, as no vectors have")
        line = line.rstrip(b" \t\r\n").replace(b"\t", b" ")
        if line.count(b" ") == dim:  # the common case, several times quicker than cutting every number off
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
        """Parse what is pending; if that fails, row by row, to find the one that is to blame."""
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
            raise VectorFileError(f"{self._name}:{number}: not {self._layout.dim} finite numbers: {_shown(numbers)}")
        return row


def _numbers(text: bytes) -> NDArray[np.float32] | None:
    """Parse numbers between single spaces as ``np.float32`` would, by way of float64; None if one is not finite."""
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
