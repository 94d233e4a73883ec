"""Concatenation of sources: the vectors of each word one after another, after scaling the sources alike.

Without scaling the source with the largest entries dominates: published vectors differ in standard deviation by a
factor of four (GloVe 840B 0.49, fastText wiki-news 0.11).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.request import VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import concatenate_rows, row_blocks, take_rows
from embeddings.table.moments import TINY, deviation
from embeddings.table.oov_composers import Concatenated


@source("concat")
@dataclass(frozen=True)
class Concat:
    """Concatenates sources, each scaled to standard deviation 1: ``concat(A,B)``, or ``A+B`` for short.

    A word that only some of the sources have is zero in the columns of the others.
    """

    example: ClassVar[str] = "concat(glove,word2vec,dim=50)"

    parts: tuple[Any, ...]
    specification: str = "concat"

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise SpecificationError("source 'concat' needs at least two sources, such as concat(glove,word2vec)")

    def files(self) -> Iterable[Path]:
        """Return the files of all parts."""
        return chain.from_iterable(part.files() for part in self.parts)

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Load every part and concatenate them over the union of their words."""
        return concatenate([part.load(request) for part in self.parts], self.specification, request.vocabulary)


def concatenate(
    tables: Sequence[EmbeddingTable], specification: str, vocabulary: Iterable[str] | None = None
) -> EmbeddingTable:
    """Concatenate tables column-wise after scaling each to standard deviation 1.

    The standard deviation is that of the entries of the vocabulary's words (of all words if none is given), because
    the many rare words of a file have a different distribution. Columns of a part that lacks a word are zero.

    Args:
        tables: tables to concatenate, left to right.
        specification: recorded as the new table's source.
        vocabulary: the words of the text, if they are known.

    Raises:
        EmbeddingError: if a table is empty or constant, so that it cannot be scaled.
    """
    scaled = scaled_alike(tables, vocabulary)
    words = tuple(dict.fromkeys(word for table in scaled for word in table.words))
    found = [table.lookup(words) for table in scaled]
    composers = tuple((table.composer, table.dim) for table in scaled)
    return EmbeddingTable(
        words=words,
        vectors=concatenate_rows(np.concatenate(rows, axis=1)
                                 for _, rows in row_blocks(*(table.vectors for table in found))),
        provenance=tuple("+".join(reasons) for reasons in zip(*(table.provenance for table in found), strict=True)),
        source=specification,
        transforms=tuple(f"{table.source}: {note}" for table in scaled for note in table.transforms),
        composer=Concatenated(composers) if any(composer for composer, _ in composers) else None,
    )


def scaled_alike(tables: Sequence[EmbeddingTable], vocabulary: Iterable[str] | None) -> list[EmbeddingTable]:
    """Divide each table by the standard deviation of the entries of the vocabulary's words."""
    common = set(vocabulary) if vocabulary is not None else None
    return [table.scaled(1 / _standard_deviation(table, common)) for table in tables]


def _standard_deviation(table: EmbeddingTable, common: set[str] | None) -> float:
    rows = [row for word, row in table.index.items() if common is None or word in common]
    vectors = take_rows(table.vectors, np.array(rows)) if rows else table.vectors
    spread = float(deviation(vectors)) if len(table) else 0.0
    if spread < TINY:
        raise EmbeddingError(f"{table.source}: cannot be scaled, because it has no vectors for these words or all "
                             "entries are equal (or below 1e-38); leave it out")
    return spread
