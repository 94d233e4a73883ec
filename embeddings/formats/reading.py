"""What every reader of vector files is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from embeddings.composition import Composer
from embeddings.rowmaps import Vectors


@dataclass(frozen=True)
class Wanted:
    """Which rows of a file to read.

    Attributes:
        keep: given a word and how many rows were read before it, whether its row is wanted.
        limit: read no more than this many rows; files list frequent words first.
        tell: told now and then the share of the file that was read, 0 to 1.
        trust_pickle: whether a pickle, which can run code, may be unpickled.
    """

    keep: Callable[[str, int], bool] = lambda _word, _row: True
    limit: int | None = None
    tell: Callable[[float], None] = lambda _share: None
    trust_pickle: bool = False


class VectorRows(NamedTuple):
    """The rows that were wanted.

    Attributes:
        words: distinct, in the file's order; of a word that stands twice the first.
        vectors: float32. *Shape:* ``(n_words, dim)``.
        composer: gives words outside the file a vector, if the file has n-grams (fastText's ``.bin``).
    """

    words: list[str]
    vectors: Vectors
    composer: Composer | None = None
