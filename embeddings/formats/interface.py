"""What every reader of vector files is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.table.memmap import take_rows
from embeddings.table.oov_composers import Composer
from embeddings.table.row_maps import Vectors

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class RowSelection:
    """Which rows of a file to read.

    Attributes:
        words: the words that are selection, in every form in which a file may list them; None for all.
        n_frequent: the first this many rows are selection too, since files list frequent words first.
        limit: read no more than this many rows.
        tell: told now and then the share of the file that was read, 0 to 1.
        trust_pickle: whether a pickle, which can run code, may be unpickled.
    """

    words: frozenset[str] | None = None
    n_frequent: int = 0
    limit: int | None = None
    tell: Callable[[float], None] = lambda _share: None
    trust_pickle: bool = False

    def keep(self, word: str, row: int) -> bool:
        """Whether a row is selection, given its word and how many rows were read before it."""
        return self.words is None or row < self.n_frequent or word in self.words

    @cached_property
    def encoded(self) -> frozenset[bytes] | None:
        """The bytes of the selection words, so that other rows can be passed over undecoded; None if they cannot be.

        The replacement character stands for any bytes that are not UTF-8.
        """
        if self.words is None or any(REPLACEMENT in word for word in self.words):
            return None
        return frozenset(word.encode("utf-8", errors="replace") for word in self.words)


class VectorRows(NamedTuple):
    """The rows that were selection.

    Attributes:
        words: distinct, in the file's order; of a word that stands twice the first.
        vectors: float32. *Shape:* ``(n_words, dim)``.
        composer: gives words outside the file a vector, if the file has n-grams (fastText's ``.bin``).
        provenance: for each row why it has its vector, if the file says so (vecformer's own).
        transforms: what was done to the vectors, if the file says so.
    """

    words: list[str]
    vectors: Vectors
    composer: Composer | None = None
    provenance: tuple[str, ...] | None = None
    transforms: tuple[str, ...] = ()


def select(listed: Iterable[str], selection: RowSelection) -> dict[str, int]:
    """The rows that are selection of a list of words, by word; of a word that stands twice the first."""
    chosen: dict[str, int] = {}
    for row, word in enumerate(islice(listed, selection.limit)):
        if word not in chosen and selection.keep(word, row):
            chosen[word] = row
    return chosen


def gather(matrix: NDArray[Any], chosen: dict[str, int]) -> Vectors:
    """The chosen rows as float32; a view where that is all of them, so that a mapped file stays unread."""
    if len(chosen) == len(matrix) and matrix.dtype == np.float32:
        return matrix
    return take_rows(matrix, np.fromiter(chosen.values(), np.intp, len(chosen)))
