"""The embedding table: words, their vectors, and the provenance of each vector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, compress, count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError, VectorFileError
from embeddings.table.html_view import table_html
from embeddings.table.memmap import concatenate_rows, is_memmap, map_rows, row_batches, row_blocks, take_rows
from embeddings.table.moments import deviation
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
from embeddings.table.pooling import Composed, compose_from_rows
from embeddings.table.row_maps import Affine, RowMap, Vectors

MAX_SCANS = 16            # over all words, to find some of them; after that an index is worth its memory
MAX_FRACTION = 1 / 4      # of the words to find by a scan; more are found by an index
MANY = 1_000              # words without a row; before their variants are looked up, those without any are filtered out


class Words(tuple[str, ...]):
    """Words with an index of their rows, which tables with the same words share."""

    n_scans = 0

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each word."""
        return dict(zip(self, range(len(self)), strict=True))

    def rows_of(self, words: Set[str]) -> Mapping[str, int]:
        """Return the rows of these words, and possibly of others.

        An index of 400,000 words takes 30 MB and several times as long as a scan.
        """
        if self.needs_index(len(words)):
            return self.rows
        self.n_scans += 1
        return dict(compress(zip(self, count(), strict=False), map(words.__contains__, self)))  # no loop in Python

    def needs_index(self, n_words: int) -> bool:
        """Return whether so many words are looked up in the index of all words, and not by a scan."""
        return "rows" in vars(self) or self.n_scans == MAX_SCANS or n_words > MAX_FRACTION * len(self)


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingTable:
    """Words and their vectors; immutable.

    Attributes:
        words: distinct words, one per row.
        vectors: float32, read-only; large ones are memory-mapped files (:mod:`embeddings.table.memmap`).
            *Shape:* ``(n_words, dim)``.
        provenance: origin of the vector in each row: ``exact``, ``folded``, ``digits``, ``subword``, ``words``,
            ``copied``, ``mixed``, ``spelling``, ``random``, ``zero`` or ``missing``; those of a concatenation's parts
            are joined by ``+``.
        source: specification of the source, such as ``glove:vectors.txt``.
        transforms: transforms that were applied to the vectors, in order.
        composer: composes vectors of words outside the table (fastText's n-grams); None for most sources.

    Raises:
        EmbeddingError: if words, rows and provenance differ in number, a word is repeated, or a value is not finite
            (rows of a memory map are checked on lookup only).
    """

    words: tuple[str, ...]
    vectors: Vectors
    provenance: tuple[str, ...]
    source: str
    transforms: tuple[str, ...] = ()
    composer: Composer | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2:
            raise EmbeddingError(f"{self.source}: vectors must be two-dimensional, not {self.vectors.ndim}-dimensional")
        if len(self.words) != len(self.vectors):
            raise EmbeddingError(f"{self.source}: {len(self.words)} words but {len(self.vectors)} rows of vectors")
        if len(self.words) != len(self.provenance):
            raise EmbeddingError(
                f"{self.source}: {len(self.words)} words but {len(self.provenance)} provenance entries"
            )
        if not isinstance(self.words, Words):
            n_words = len(set(self.words))
            if n_words != len(self.words):
                raise EmbeddingError(f"{self.source}: {len(self.words) - n_words} words are repeated")
            object.__setattr__(self, "words", Words(self.words))
        if not is_memmap(self.vectors) and not np.isfinite(self.vectors).all():
            row = int(np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))[0])
            after = f" after {self.transforms[-1]}: its numbers are too large for float32" if self.transforms else ""
            raise EmbeddingError(f"{self.source}: the vector of {self.words[row]!r} is not finite{after}")
        vectors = self.vectors.astype(np.float32, copy=False).view()
        vectors.flags.writeable = False
        object.__setattr__(self, "vectors", vectors)

    @classmethod
    def known(cls, words: Sequence[str], vectors: Vectors, source: str) -> EmbeddingTable:
        """Construct a table in which every row has the provenance ``exact``."""
        return cls(tuple(words), vectors, (EXACT,) * len(words), source)

    def __repr__(self) -> str:
        return f"EmbeddingTable({len(self)} words, dim={self.dim}, source={self.source!r})"

    def _repr_html_(self) -> str:
        return table_html(self)

    @property
    def dim(self) -> int:
        """Dimension of a vector."""
        return int(self.vectors.shape[1])

    @property
    def spread(self) -> float:
        """Standard deviation of all entries."""
        return float(deviation(self.vectors)) if self.vectors.size else 0.0

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
        """Look up words, with the fallbacks of the out-of-vocabulary policy.

        Words that are not found get a row of zeros with provenance ``missing``, which :meth:`filled` fills.

        Args:
            words: distinct words.
            policy: fallbacks for words that the table does not list.

        Returns:
            A table of exactly these words, in this order.
        """
        words = tuple(words)
        assert isinstance(self.words, Words)
        index = self.words.rows if self.words.needs_index(len(words)) else self.words.rows_of(
            {*words, *(variant for word in words for variant, _ in policy.variants(word))})
        listed = np.fromiter((index.get(word, -1) for word in words), np.intp, len(words))  # row of each, -1 for none
        provenance = [self.provenance[row] if row >= 0 else MISSING for row in listed.tolist()]
        missing = [place for place, why in enumerate(provenance) if why == MISSING]
        listed[missing] = -1
        has_variant = policy.variant_filter(index) if len(missing) > MANY else None
        for place in missing:
            if has_variant is None or has_variant(words[place]):
                listed[place], provenance[place] = self._variant(words[place], policy, index)
        vectors = concatenate_rows(self._looked_up(words, listed, provenance, policy))
        return replace(self, words=words, vectors=vectors, provenance=tuple(provenance))

    def _looked_up(
        self, words: Sequence[str], listed: NDArray[np.intp], provenance: list[str], policy: OOVPolicy
    ) -> Iterator[Vectors]:
        """Yield the listed rows in batches; for -1 composed vectors, whose provenance is set, or zeros."""
        none = [np.zeros((len(listed), self.dim), np.float32)]
        start = 0
        for rows in row_batches(self.vectors, listed.clip(min=0)) if len(self) else none:
            missing = np.flatnonzero(listed[start : start + len(rows)] < 0)
            rows[missing] = 0
            for step in policy.steps if len(missing) else ():
                if made := self._composed([words[start + place] for place in missing.tolist()], step):
                    rows[missing] = made.vectors
                    for place in missing[made.found].tolist():
                        provenance[start + place] = step
                    missing = missing[~made.found]
            start += len(rows)
            yield rows

    def _variant(self, word: str, policy: OOVPolicy, index: Mapping[str, int]) -> tuple[int, str]:
        """Return the row that lists a variant of the word, and the provenance; -1 if none does."""
        for variant, why in policy.variants(word):
            row = index.get(variant)
            if row is not None and is_known(self.provenance[row]):
                return row, why
        return -1, MISSING

    def _composed(self, words: Sequence[str], step: str) -> Composed | None:
        """Return vectors that a step of the policy composes of others; None if it does not compose vectors."""
        if step == SUBWORD and self.composer is not None:
            return self.composer.compose(words)
        if step == SPELLING:
            return compose_from_rows(words, self._spellings.rows, self.vectors, "mean")
        return None

    @cached_property
    def _spellings(self) -> NearestSpelling:
        known = [word if is_known(why) else "" for word, why in zip(self.words, self.provenance, strict=True)]
        return NearestSpelling(known)

    def where(self, keep: Iterable[bool]) -> EmbeddingTable:
        """Select the rows whose entry in ``keep`` is true."""
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
        """Fill the ``missing`` rows; their provenance becomes ``how``.

        Args:
            seed: seed of the random vectors.
            how: ``random`` (drawn with the mean and standard deviation of the other rows) or ``zero``.
        """
        missing = np.array([why == MISSING for why in self.provenance], dtype=bool)
        if not missing.any():
            return self
        filling = np.zeros((int(missing.sum()), self.dim), np.float32)
        if how == RANDOM:
            known = take_rows(self.vectors, np.flatnonzero(~missing))
            filling = draw_like(known, len(filling), np.random.default_rng(seed))
        place_of = np.cumsum(missing) - 1

        def fill(place: slice, rows: Vectors) -> Vectors:
            gone = missing[place]
            filled = np.array(rows)
            filled[gone] = filling[place_of[place][gone]]
            return filled

        vectors = map_rows(self.vectors, fill)
        provenance = tuple(how if gone else why for gone, why in zip(missing, self.provenance, strict=True))
        return replace(self, vectors=vectors, provenance=provenance)

    def followed_by(self, other: EmbeddingTable) -> EmbeddingTable:
        """Append the rows of another table of the same source whose words are not in this one."""
        is_listed = np.fromiter(map(self.index.__contains__, other.words), dtype=bool, count=len(other))
        if is_listed.all():
            return self
        is_new = (~is_listed).tolist()
        return replace(
            self,
            words=(*self.words, *compress(other.words, is_new)),
            vectors=concatenate_rows(chain((rows for _, (rows,) in row_blocks(self.vectors)),
                                           row_batches(other.vectors, np.flatnonzero(is_new)))),
            provenance=(*self.provenance, *compress(other.provenance, is_new)),
        )

    def transformed(self, row_map: RowMap, note: str) -> EmbeddingTable:
        """Apply a map to every vector, also to those composed later; ``missing`` rows stay zero.

        Args:
            row_map: the map; it may change the dimension.
            note: recorded in ``transforms``.
        """
        missing = np.array([why == MISSING for why in self.provenance], dtype=bool)

        def change(place: slice, rows: Vectors) -> Vectors:
            with np.errstate(over="ignore", invalid="ignore"):  # the table reports it
                result = np.array(row_map(rows), dtype=np.float32)
            result[missing[place]] = 0
            return result

        return replace(self, vectors=map_rows(self.vectors, change), transforms=(*self.transforms, note),
                       composer=transformed(self.composer, row_map))

    mapped = transformed  # the name in version 0.1.0

    def weighted(self, weights: NDArray[np.floating[Any]], oov_weight: float, note: str) -> EmbeddingTable:
        """Multiply each word's vector by its weight.

        Args:
            weights: one per row. *Shape:* ``(n_words,)``.
            oov_weight: weight of words composed later.
            note: recorded in ``transforms``.
        """
        return replace(
            self,
            vectors=map_rows(self.vectors, lambda place, rows: (rows * weights[place, None]).astype(np.float32)),
            transforms=(*self.transforms, note),
            composer=transformed(self.composer, Affine.scale(oov_weight, self.dim)),
        )

    def scaled(self, factor: float) -> EmbeddingTable:
        """Multiply every vector by a number, also those composed later; recorded in ``transforms``."""
        return self.transformed(Affine.scale(factor, self.dim), f"scale={factor:.6g}")

    def save(self, path: Path) -> EmbeddingTable:
        """Write the arrays to ``path`` (safetensors) and everything else to a ``.json`` file of the same name.

        Returns:
            The same table, memory-mapped from the file.
        """
        vectors = write_saved(path, SavedTable(
            self.words, self.vectors, self.provenance, self.source, self.transforms, self.composer
        ))
        return replace(self, vectors=vectors)

    @classmethod
    def load(cls, path: Path, *, limit: int | None = None) -> EmbeddingTable:
        """Read a table written by :meth:`save`; the vectors are memory-mapped.

        Args:
            path: path of the safetensors file.
            limit: maximum number of rows.

        Raises:
            VectorFileError: if one of the two files is missing, or they do not belong together.
        """
        saved = read_saved(path)
        try:
            return cls(*saved._replace(words=saved.words[:limit], vectors=saved.vectors[:limit],
                                       provenance=saved.provenance[:limit]))
        except EmbeddingError as error:
            raise VectorFileError(f"{path}: damaged ({error}); restore it from a copy") from error
