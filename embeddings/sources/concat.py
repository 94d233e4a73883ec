"""Several sources side by side: each word's vectors one after another, after bringing the sources to one scale.

Without that the widest source wins: common vectors differ in spread by a factor of four (GloVe-840B 0.49, fastText
wiki-news 0.11).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from embeddings.errors import EmbeddingError
from embeddings.request import Source, VectorRequest
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import concatenate_rows, row_blocks, take_rows
from embeddings.table.oov_composers import Concatenated


@dataclass(frozen=True)
class Combined:
    """A concatenation of sources.

    Attributes:
        parts: the sources, left to right.
        specification: as the user wrote it.
    """

    parts: tuple[Source, ...]
    specification: str

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Load every part and concatenate them over the words that any of them knows."""
        return concatenate([part.load(request) for part in self.parts], self.specification, request.vocabulary)


def concatenate(
    tables: Sequence[EmbeddingTable], specification: str, vocabulary: Iterable[str] | None = None
) -> EmbeddingTable:
    """Put tables side by side, each divided by its own spread first, so that all have spread 1.

    The spread of a table is the standard deviation of its entries over the words of the vocabulary that it lists (over
    all its words when none is given): rare words, of which a file may hold many, have other vectors. Where a part does
    not know a word, its columns are zero.

    Args:
        tables: what to concatenate, left to right.
        specification: recorded as the new table's source.
        vocabulary: the words of the text, if they are known.

    Raises:
        EmbeddingError: if a table is empty or constant, so that it has no scale.
    """
    scaled = to_one_scale(tables, vocabulary)
    words = tuple(dict.fromkeys(word for table in scaled for word in table.words))
    found = [table.lookup(words) for table in scaled]
    composers = tuple((table.composer, table.dim) for table in scaled)
    return EmbeddingTable(
        words=words,
        vectors=concatenate_rows(np.concatenate(rows, axis=1)
                                 for _, rows in row_blocks(*(table.vectors for table in found))),
        provenance=tuple("+".join(reasons) for reasons in zip(*(table.provenance for table in found), strict=True)),
        source=specification,
        transforms=tuple(f"{table.source}: {done}" for table in scaled for done in table.transforms),
        composer=Concatenated(composers) if any(composer for composer, _ in composers) else None,
    )


def to_one_scale(tables: Sequence[EmbeddingTable], vocabulary: Iterable[str] | None) -> list[EmbeddingTable]:
    """Divide each table by the spread of its entries over the vocabulary's words, so that all have spread 1."""
    common = set(vocabulary) if vocabulary is not None else None
    return [table.scaled(1 / _spread(table, common)) for table in tables]


def _spread(table: EmbeddingTable, common: set[str] | None) -> float:
    rows = [row for word, row in table.index.items() if common is None or word in common]
    vectors = take_rows(table.vectors, np.array(rows)) if rows else table.vectors
    spread = float(vectors.std()) if len(table) else 0.0
    if not spread:
        raise EmbeddingError(f"{table.source}: no scale to bring it to, since its vectors are none or all the same")
    return spread
