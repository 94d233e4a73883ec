"""Several sources in one: each word's vectors averaged, after bringing the sources to one scale and width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.request import VectorRequest
from embeddings.sources.concat import to_one_scale
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import concatenate_rows, row_blocks
from embeddings.table.oov_composers import Averaged
from embeddings.table.oov_policy import MISSING
from embeddings.table.row_maps import Affine
from embeddings.transforms.directions import orthogonal


@source("average")
@dataclass(frozen=True)
class Average:
    """Averages sources word by word: ``average(A,B)``, each brought to spread 1 first.

    A wider source is brought to the width of the narrowest by a random orthogonal projection. Averages of unrelated
    spaces keep neighbourhoods (Coates & Bollegala 2018, "Frustratingly Easy Meta-Embedding"). A word that only one of
    them knows has that one's vector.
    """

    parts: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise SpecificationError("source 'average' needs two sources or more, such as average(glove,word2vec)")

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Load every part, and average over the words that any of them knows."""
        return average([part.load(request) for part in self.parts], request)


def average(tables: list[EmbeddingTable], request: VectorRequest) -> EmbeddingTable:
    """Average tables word by word.

    Raises:
        EmbeddingError: if a table is empty or constant, so that it has no scale.
    """
    dim = min(table.dim for table in tables)
    scaled = to_one_scale([_narrowed(table, dim, request.seed) for table in tables], request.vocabulary)
    words = tuple(dict.fromkeys(word for table in scaled for word in table.words))
    found = [table.lookup(words) for table in scaled]
    present = np.array([[why != MISSING for why in table.provenance] for table in found], dtype=np.float32)
    counts = np.maximum(present.sum(axis=0), 1)[:, None].astype(np.float32)
    composers = tuple(table.composer for table in scaled if table.composer is not None)
    return EmbeddingTable(
        words=words,
        vectors=concatenate_rows(np.sum(rows, axis=0, dtype=np.float32) / counts[place]
                         for place, rows in row_blocks(*(table.vectors for table in found))),
        provenance=tuple("+".join(reasons) for reasons in zip(*(table.provenance for table in found), strict=True)),
        source=f"average({','.join(table.source for table in tables)})",
        transforms=tuple(f"{table.source}: {done}" for table in scaled for done in table.transforms),
        composer=Averaged(composers) if composers else None,
    )


def _narrowed(table: EmbeddingTable, dim: int, seed: int) -> EmbeddingTable:
    if not len(table):
        raise EmbeddingError(f"{table.source}: it knows none of the words, so there is nothing to average")
    if table.dim == dim:
        return table
    projection = Affine(np.zeros(table.dim, np.float32), orthogonal(table.dim, dim, seed))
    return table.transformed(projection, f"project:{dim}")
