"""Nearest neighbours by cosine similarity, and analogies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.progress import FractionCallback, ignore_fraction
from embeddings.specification.suggest import did_you_mean
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import DEFAULT_POLICY, MISSING, OOVPolicy
from embeddings.table.row_maps import UnitLength, Vectors

Rows = NDArray[np.intp]

ROWS_PER_BLOCK = 8192
QUERIES_PER_BLOCK = 1024   # times the rows: 32 MiB of similarities
WORDS_TO_SUGGEST = 50_000

to_unit_length = UnitLength()


def nearest_rows(
    vectors: Vectors,
    queries: Vectors,
    n: int,
    *,
    without: tuple[Rows, Rows] | None = None,
    progress: FractionCallback = ignore_fraction,
) -> tuple[Rows, Vectors]:
    """Find the rows nearest to each query by cosine similarity, in blocks of bounded memory.

    Args:
        vectors: *Shape:* ``(n_words, dim)``.
        queries: *Shape:* ``(n_queries, dim)``.
        n: number of rows to find for each query.
        without: indices of queries and of rows that are excluded for them. *Shape:* ``(n_pairs,)`` each.
        progress: progress callback.

    Returns:
        The rows, nearest first (ties in order of the rows), and their similarities; ``-inf`` if there are fewer than
        ``n``. *Shape:* ``(n_queries, n)`` each.
    """
    queries = to_unit_length(queries)
    rows = np.zeros((len(queries), n), dtype=np.intp)
    similarity = np.full((len(queries), n), -np.inf, dtype=np.float32)
    no_query, no_row = without or (np.zeros(0, np.intp), np.zeros(0, np.intp))
    for start in range(0, len(vectors), ROWS_PER_BLOCK):
        block = to_unit_length(vectors[start : start + ROWS_PER_BLOCK])                       # (n_block, dim)
        here = (no_row >= start) & (no_row < start + len(block))
        for first in range(0, len(queries), QUERIES_PER_BLOCK):
            some = slice(first, first + QUERIES_PER_BLOCK)
            scores = queries[some] @ block.T                                                # (n_some, n_block)
            excluded = here & (no_query >= first) & (no_query < first + len(scores))
            scores[no_query[excluded] - first, no_row[excluded] - start] = -np.inf
            columns = _best_columns(scores, n)                                              # (n_some, <= n)
            found_rows = np.concatenate([rows[some], columns + start], axis=1)
            found = np.concatenate([similarity[some], np.take_along_axis(scores, columns, axis=1)], axis=1)
            best = np.argsort(-found, axis=1, kind="stable")[:, :n]
            rows[some] = np.take_along_axis(found_rows, best, axis=1)
            similarity[some] = np.take_along_axis(found, best, axis=1)
        progress(min(1.0, (start + ROWS_PER_BLOCK) / len(vectors)))
    return rows, similarity


def _best_columns(scores: Vectors, n: int) -> Rows:
    if n == 1:
        first: Rows = scores.argmax(axis=1)[:, None]
        return first
    if n >= scores.shape[1]:
        return np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    best: Rows = np.sort(np.argpartition(-scores, n - 1, axis=1)[:, :n], axis=1)
    return best


@dataclass(frozen=True)
class Neighbor:
    """A word and its cosine similarity, -1 to 1."""

    word: str
    similarity: float


@dataclass(frozen=True)
class Nearest:
    """Nearest neighbours of a query.

    Attributes:
        asked: the words of the query and the provenance of their vectors.
        neighbors: nearest first.
    """

    asked: dict[str, str]
    neighbors: tuple[Neighbor, ...]


class Neighborhood:
    """Searches a table for nearest neighbours.

    Words that the table does not list are looked up by the out-of-vocabulary policy. The words of a query, and the
    listed words whose vectors they use, are excluded from the results.

    Args:
        table: the table to search.
        policy: out-of-vocabulary policy.
    """

    def __init__(self, table: EmbeddingTable, policy: OOVPolicy = DEFAULT_POLICY) -> None:
        self.table = table
        self.policy = policy

    def of_vector(self, vector: Vectors, n: int = 10) -> tuple[Neighbor, ...]:
        """Return the words nearest to a vector. *Shape:* ``(dim,)``."""
        return self._nearest(vector, n, ())

    def of_words(self, words: Sequence[str], n: int = 10) -> Nearest:
        """Return the words nearest to a word, or to the mean of several words after scaling each to unit norm.

        Raises:
            EmbeddingError: if no word is given, or one of them has no vector.
        """
        if not words:
            raise EmbeddingError("no word given; name at least one")
        asked = self._find(words)
        return self._answer(asked, to_unit_length(asked.vectors).mean(axis=0), n)

    def of_phrase(self, phrase: str, n: int = 10) -> Nearest:
        """Return the words nearest to a phrase: to its own vector if it is listed, otherwise to the mean of its words.

        Raises:
            EmbeddingError: as :meth:`of_words`.
        """
        return self.of_words([phrase] if phrase in self.table else phrase.split(), n)

    def analogy(self, a: str, b: str, c: str, n: int = 10) -> Nearest:
        """Return the words nearest to b - a + c: a is to b as c is to which word? (3CosAdd, Mikolov et al. 2013).

        Raises:
            EmbeddingError: if one of the words has no vector.
        """
        asked = self._find((a, b, c))
        row = dict(zip(asked.words, to_unit_length(asked.vectors), strict=True))
        return self._answer(asked, row[b] - row[a] + row[c], n)

    def _find(self, words: Sequence[str]) -> EmbeddingTable:
        asked = self.table.lookup(dict.fromkeys(words), self.policy)
        for word, why in zip(asked.words, asked.provenance, strict=True):
            if why == MISSING:
                near = did_you_mean(word, islice(self.table.words, WORDS_TO_SUGGEST))
                raise EmbeddingError(f"{self.table.source}: no vector for {word!r}.{near}")
        return asked

    def _answer(self, asked: EmbeddingTable, point: Vectors, n: int) -> Nearest:
        listed = [row for word in asked.words if (row := self._row(word)) is not None]
        return Nearest(dict(zip(asked.words, asked.provenance, strict=True)), self._nearest(point, n, listed))

    def _row(self, word: str) -> int | None:
        """Return the row that lists the word, or the first variant of it in the policy's order."""
        spellings = (word, *(variant for variant, _ in self.policy.variants(word)))
        return next((row for one in spellings if (row := self.table.index.get(one)) is not None), None)

    def _nearest(self, point: Vectors, n: int, without: Sequence[int]) -> tuple[Neighbor, ...]:
        excluded = np.array([*without, *self._missing], dtype=np.intp)
        pairs = (np.zeros_like(excluded), excluded)
        rows, similarity = nearest_rows(self.table.vectors, point[None], min(n, len(self.table)), without=pairs)
        return tuple(
            Neighbor(self.table.words[row], min(1.0, max(-1.0, float(value))))
            for row, value in zip(rows[0], similarity[0], strict=True) if np.isfinite(value)
        )

    @cached_property
    def _missing(self) -> list[int]:
        return [row for row, why in enumerate(self.table.provenance) if why == MISSING]
