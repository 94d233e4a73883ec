"""The value that stage one hands to stage two: words, their vectors, and why each word has the vector it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, compress, count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.table.memmap import concatenate_rows, is_memmap, map_rows, row_batches, row_blocks, take_rows
from embeddings.table.oov_composers import Composer, transformed
from embeddings.table.oov_policy import (
    DEFAULT_POLICY,
    EXACT,
    MISSING,
    RANDOM,
    SPELLING,
    SUBWORD,
    NearestSpelling,
    OOVPolicy,
    draw_like,
    is_known,
)
from embeddings.table.persistence import SavedTable, read_saved, write_saved
from embeddings.table.row_maps import Affine, RowMap, Vectors

MAX_PASSES = 16       # through all words to find some of them; after that an index is worth its memory
SHARE_A_PASS = 1 / 4  # of all the words; for more an index is


class Words(tuple[str, ...]):
    """Words and where each stands, which tables of the same words share."""

    n_passes = 0

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each word."""
        return dict(zip(self, range(len(self)), strict=True))

    def rows_of(self, wanted: Set[str]) -> Mapping[str, int]:
        """The rows of these words, and maybe of others.

        To number 400,000 words takes 30 MB, and several times as long as to go through them once.
        """
        if "rows" in vars(self) or self.n_passes == MAX_PASSES or len(wanted) > SHARE_A_PASS * len(self):
            return self.rows
        self.n_passes += 1
        return dict(compress(zip(self, count(), strict=False), map(wanted.__contains__, self)))  # no loop in Python


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """Words and their vectors, row by row; never changed after it is made.

    Attributes:
        words: distinct words, one a row.
        vectors: float32, read-only; large ones are memory-mapped files (:mod:`embeddings.table.memmap`).
            *Shape:* ``(n_words, dim)``.
        provenance: for each row why it has its vector: ``exact``, ``folded``, ``digits``, ``subword``, ``spelling``,
            ``random``, ``zero`` or ``missing``; parts of a concatenation are joined by ``+``.
        source: the specification that made it, such as ``glove:vectors.txt``.
        transforms: what was done to the vectors since, in order.
        composer: gives words outside the table a vector (fastText's n-grams); None for most sources.

    Raises:
        EmbeddingError: if words, rows and provenance are not equally many, a word stands twice, or a value is not
            finite; in a mapped file only the rows that are looked up are looked at.
    """

    words: tuple[str, ...]
    vectors: Vectors
    provenance: tuple[str, ...]
    source: str
    transforms: tuple[str, ...] = ()
    composer: Composer | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2:
            raise EmbeddingError(f"vectors must have two axes, not {self.vectors.ndim}, from {self.source}")
        if len(self.words) != len(self.vectors):
            raise EmbeddingError(f"{len(self.words)} words but {len(self.vectors)} rows of vectors, from {self.source}")
        if len(self.words) != len(self.provenance):
            raise EmbeddingError(
                f"{len(self.words)} words but {len(self.provenance)} notes of provenance, from {self.source}"
            )
        if not isinstance(self.words, Words):
            n_words = len(set(self.words))
            if n_words != len(self.words):
                raise EmbeddingError(f"{len(self.words) - n_words} words stand twice, from {self.source}")
            object.__setattr__(self, "words", Words(self.words))
        if not is_memmap(self.vectors) and not np.isfinite(self.vectors).all():
            row = int(np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))[0])
            raise EmbeddingError(f"the vector of {self.words[row]!r} is not finite, from {self.source}")
        vectors = self.vectors.astype(np.float32, copy=False).view()
        vectors.flags.writeable = False
        object.__setattr__(self, "vectors", vectors)

    @classmethod
    def known(cls, words: Sequence[str], vectors: Vectors, source: str) -> EmbeddingTable:
        """Make a table whose every row is the source's own vector for exactly that word."""
        return cls(tuple(words), vectors, (EXACT,) * len(words), source)

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self.vectors.shape[1])

    @property
    def index(self) -> dict[str, int]:
        """The row of each word."""
        assert isinstance(self.words, Words)
        return self.words.rows

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.index

    def lookup(self, words: Iterable[str], policy: OOVPolicy = DEFAULT_POLICY) -> EmbeddingTable:
        """Give each of the words the best vector that this table has for it.

        The word itself is tried, then what the policy says, in its order. What is left gets a row of zeros with
        provenance ``missing``, for :meth:`filled` to fill.

        Args:
            words: distinct words.
            policy: what is tried for a word that the table does not list.

        Returns:
            A table of exactly these words, in this order.
        """
        words = tuple(words)
        listed, provenance = np.zeros(len(words), dtype=np.intp), []
        composed: dict[int, Vectors] = {}
        assert isinstance(self.words, Words)
        index = self.words.rows_of({*words, *(variant for word in words for variant, _ in policy.variants(word))})
        for place, word in enumerate(words):
            listed[place], why = self._listed(word, policy, index)
            if listed[place] < 0:
                row, why = self._composed(word, policy)
                if row is not None:
                    composed[place] = row
            provenance.append(why)
        vectors = concatenate_rows(self._laid_out(listed, composed))
        return replace(self, words=words, vectors=vectors, provenance=tuple(provenance))

    def _laid_out(self, listed: NDArray[np.intp], composed: Mapping[int, Vectors]) -> Iterator[Vectors]:
        """The listed rows, lot by lot; where that is -1 what was composed for the place, or zeros."""
        if not len(self):
            yield np.zeros((len(listed), self.dim), dtype=np.float32)
            return
        start = 0
        for rows in row_batches(self.vectors, listed.clip(min=0)):
            for place in np.flatnonzero(listed[start : start + len(rows)] < 0).tolist():
                rows[place] = composed.get(start + place, 0)
            start += len(rows)
            yield rows

    def _listed(self, word: str, policy: OOVPolicy, index: Mapping[str, int]) -> tuple[int, str]:
        """The row that lists the word or a variant of it, and why; -1 if none does."""
        row = index.get(word)
        if row is not None and self.provenance[row] != MISSING:
            return row, self.provenance[row]
        for variant, why in policy.variants(word):
            row = index.get(variant)
            if row is not None and is_known(self.provenance[row]):
                return row, why
        return -1, MISSING

    def _composed(self, word: str, policy: OOVPolicy) -> tuple[Vectors | None, str]:
        """What is made of other rows, and how; None if nothing is."""
        for step in policy.steps:
            if step == "subword" and self.composer is not None:
                row = self.composer.compose(word)
                if row is not None:
                    return row, SUBWORD
            elif step == "spelling":
                rows = self._spellings.rows(word)
                if rows:
                    return take_rows(self.vectors, np.array(rows)).mean(axis=0), SPELLING
        return None, MISSING

    @cached_property
    def _spellings(self) -> NearestSpelling:
        known = [word if is_known(why) else "" for word, why in zip(self.words, self.provenance, strict=True)]
        return NearestSpelling(known)

    def where(self, keep: Iterable[bool]) -> EmbeddingTable:
        """Keep the rows whose entry in ``keep`` is true."""
        rows = np.flatnonzero(np.fromiter(keep, dtype=bool, count=len(self)))
        if len(rows) == len(self):
            return self
        return replace(
            self,
            words=tuple(self.words[row] for row in rows),
            vectors=take_rows(self.vectors, rows),
            provenance=tuple(self.provenance[row] for row in rows),
        )

    def filled(self, seed: int, how: str = RANDOM) -> EmbeddingTable:
        """Give each ``missing`` row a vector; its provenance becomes ``how``.

        Args:
            seed: decides what is drawn.
            how: ``random`` (drawn with the mean and spread of the other rows) or ``zero``.
        """
        missing = np.array([why == MISSING for why in self.provenance], dtype=bool)
        vectors = np.array(self.vectors)
        if how == RANDOM:
            vectors[missing] = draw_like(vectors[~missing], int(missing.sum()), np.random.default_rng(seed))
        provenance = tuple(how if gone else why for gone, why in zip(missing, self.provenance, strict=True))
        return replace(self, vectors=vectors, provenance=provenance)

    def followed_by(self, other: EmbeddingTable) -> EmbeddingTable:
        """Append the rows of another table of the same source whose words this one does not have."""
        rest = np.array([row for row, word in enumerate(other.words) if word not in self.index], dtype=np.intp)
        return replace(
            self,
            words=(*self.words, *(other.words[row] for row in rest)),
            vectors=concatenate_rows(chain((rows for _, (rows,) in row_blocks(self.vectors)),
                                           row_batches(other.vectors, rest))),
            provenance=(*self.provenance, *(other.provenance[row] for row in rest)),
        )

    def transformed(self, one: RowMap, note: str) -> EmbeddingTable:
        """Put every vector through a map, those composed later too; ``missing`` rows stay zero.

        Args:
            one: what is done to each row; it may change the width.
            note: recorded in ``transforms``.
        """
        missing = np.array([why == MISSING for why in self.provenance], dtype=bool)

        def change(place: slice, rows: Vectors) -> Vectors:
            there = np.array(one(rows), dtype=np.float32)
            there[missing[place]] = 0
            return there

        return replace(self, vectors=map_rows(self.vectors, change), transforms=(*self.transforms, note),
                       composer=transformed(self.composer, one))

    def weighted(self, weights: NDArray[np.floating[Any]], of_others: float, note: str) -> EmbeddingTable:
        """Multiply each word's vector by a weight of its own.

        Args:
            weights: one a row. *Shape:* ``(n_words,)``.
            of_others: the weight of words composed later.
            note: recorded in ``transforms``.
        """
        return replace(
            self,
            vectors=map_rows(self.vectors, lambda place, rows: (rows * weights[place, None]).astype(np.float32)),
            transforms=(*self.transforms, note),
            composer=transformed(self.composer, Affine.scale(of_others, self.dim)),
        )

    def scaled(self, factor: float) -> EmbeddingTable:
        """Multiply every vector, those composed later too; recorded in ``transforms``."""
        return self.transformed(Affine.scale(factor, self.dim), f"scale={factor:.6g}")

    def save(self, path: Path) -> EmbeddingTable:
        """Write the vectors to ``path`` (safetensors) and everything else, readable, to the ``.json`` beside it.

        Returns:
            The same table, its vectors mapped from the file.
        """
        vectors = write_saved(path, SavedTable(
            self.words, self.vectors, self.provenance, self.source, self.transforms, self.composer
        ))
        return replace(self, vectors=vectors)

    @classmethod
    def load(cls, path: Path, *, limit: int | None = None) -> EmbeddingTable:
        """Read what :meth:`save` wrote; the vectors stay in the file, mapped into memory.

        Args:
            path: of the vectors.
            limit: take the first rows only, and look at no others.

        Raises:
            VectorFileError: if either of the two files is missing or does not fit the other.
        """
        saved = read_saved(path)
        return cls(*saved._replace(words=saved.words[:limit], vectors=saved.vectors[:limit],
                                   provenance=saved.provenance[:limit]))
