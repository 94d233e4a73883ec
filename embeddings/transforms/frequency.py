"""Transforms that weight words by frequency, so that function words do not dominate a sum of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from embeddings.request import VectorRequest
from embeddings.specification.transforms import transform
from embeddings.table import EmbeddingTable


@transform("sif")
@dataclass(frozen=True)
class Sif:
    """Multiplies each word by ``a / (a + p)``, where p is its relative frequency.

    Smooth inverse frequency (Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings"). The
    frequencies are those of the training text; without a text they follow Zipf's law in the order of the table.
    """

    example: ClassVar[str] = "sif:0.0001"

    a: Annotated[float, Field(gt=0, description=(
        "relative frequency at which the weight is 1/2, such as 0.001; much rarer words keep their norm"))] = 1e-3

    def apply(self, table: EmbeddingTable, request: VectorRequest, note: str) -> EmbeddingTable:
        """Weight every word; words composed later have frequency 0."""
        frequencies = relative_frequencies(table, request)
        return table.weighted(self.a / (self.a + frequencies), 1.0, note)


@transform("zipf")
@dataclass(frozen=True)
class Zipf:
    """Multiplies each word by ``log(1 + rank)``; the first word of the table has rank 1 (model2vec)."""

    example: ClassVar[str] = "zipf"

    def apply(self, table: EmbeddingTable, request: VectorRequest, note: str) -> EmbeddingTable:
        """Weight every word by its rank in the table; words composed later have the rank of the last word."""
        ranks = np.arange(1, len(table) + 1)
        return table.weighted(np.log1p(ranks), float(np.log1p(len(table))), note)


def relative_frequencies(table: EmbeddingTable, request: VectorRequest) -> NDArray[np.float64]:
    """Return the relative frequency of each word among the tokens of the text. *Shape:* ``(n_words,)``, float64."""
    if request.vocabulary and sum(request.vocabulary.values()) > len(request.vocabulary):
        counts: NDArray[np.float64] = np.array([request.vocabulary.get(word, 0) for word in table.words], np.float64)
        return counts / sum(request.vocabulary.values())
    by_rank: NDArray[np.float64] = 1 / np.arange(1, len(table) + 1, dtype=np.float64)
    frequencies: NDArray[np.float64] = by_rank / by_rank.sum()
    return frequencies
