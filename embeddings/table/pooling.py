"""Pooling of several rows into the vector of a word: those of its tokens, or of its character n-grams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.table.row_maps import Vectors

Pool = Literal["mean", "first", "last"]
RowNumbers = NDArray[np.int64]

WORDS_PER_BATCH = 1024  # whose rows are copied at a time


class Composed(NamedTuple):
    """Vectors of words that are composed of others.

    Attributes:
        vectors: float32; rows of zeros for words without a vector. *Shape:* ``(n_words, dim)``.
        found: whether each word has a vector. *Shape:* ``(n_words,)``, bool.
    """

    vectors: Vectors
    found: NDArray[np.bool_]


def compose_from_rows(
    words: Sequence[str], rows_of: Callable[[Sequence[str]], Sequence[RowNumbers]], vectors: Vectors, pool: Pool
) -> Composed:
    """Pool the rows of each word, in batches of words.

    Args:
        words: any words.
        rows_of: returns the row numbers of each of some words; none for a word that cannot be composed.
        vectors: float32. *Shape:* ``(n_rows, dim)``.
        pool: ``mean``, ``first`` or ``last``.
    """
    made = np.zeros((len(words), vectors.shape[1]), np.float32)
    found = np.zeros(len(words), np.bool_)
    for start in range(0, len(words), WORDS_PER_BATCH):
        rows = rows_of(words[start : start + WORDS_PER_BATCH])
        places = start + np.flatnonzero([len(one) for one in rows])
        if len(places):
            made[places] = pooled(vectors.__getitem__, [one for one in rows if len(one)], pool)
            found[places] = True
    return Composed(made, found)


def pooled(rows: Callable[[RowNumbers], Vectors], ids: Sequence[RowNumbers], pool: Pool) -> Vectors:
    """Pool the rows of each word.

    Args:
        rows: gathers rows. *Shape:* ``(n_ids,)`` to ``(n_ids, dim)``, float32.
        ids: row numbers of each word, at least one. *Shape:* ``(n_rows_of_word,)``.
        pool: ``mean``, ``first`` or ``last``.

    Returns:
        float32. *Shape:* ``(n_words, dim)``.
    """
    if pool != "mean":
        place = 0 if pool == "first" else -1
        return rows(np.array([one[place] for one in ids], np.int64))
    lengths = np.array([len(one) for one in ids], np.int32)              # (n_words,)
    starts = lengths.cumsum() - lengths
    gathered = rows(np.concatenate(ids))                                 # (n_ids, dim)
    with np.errstate(over="ignore"):
        sums = np.add.reduceat(gathered, starts, axis=0)                 # (n_words, dim)
    if not np.isfinite(sums).all():
        sums = np.add.reduceat(gathered, starts, axis=0, dtype=np.float64)
        return (sums / lengths[:, None]).astype(np.float32)
    means: Vectors = np.divide(sums, lengths[:, None], dtype=np.float32)
    return means
