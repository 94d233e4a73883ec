"""Transforms that weigh words by how common they are, so that a sum of vectors is not mostly function words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from embeddings.request import VectorRequest
from embeddings.specification.transforms import transform
from embeddings.table import EmbeddingTable


@transform("sif")
@dataclass(frozen=True)
class Sif:
    """Multiplies each word by ``a / (a + p)``, p its share of the running text.

    Smooth inverse frequency (Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings"). The
    shares are those of the training text's words; without a text, Zipf's law by the order of the table, whose first
    word is taken as the most frequent.

    Attributes:
        a: words much rarer than this share keep their length.
    """

    a: Annotated[float, Gt(0)] = 1e-3

    def apply(self, table: EmbeddingTable, request: VectorRequest, note: str) -> EmbeddingTable:
        """Weigh every word; words composed later count as never met."""
        shares = word_shares(table, request)
        return table.weighted(self.a / (self.a + shares), 1.0, note)


@transform("zipf")
@dataclass(frozen=True)
class Zipf:
    """Multiplies each word by ``log(1 + rank)``, the first word of the table having rank 1 (model2vec)."""

    def apply(self, table: EmbeddingTable, request: VectorRequest, note: str) -> EmbeddingTable:
        """Weigh every word by its place in the table; words composed later count as the last."""
        ranks = np.arange(1, len(table) + 1)
        return table.weighted(np.log1p(ranks), float(np.log1p(len(table))), note)


def word_shares(table: EmbeddingTable, request: VectorRequest) -> NDArray[np.float64]:
    """Each word's share of the running text. *Shape:* ``(n_words,)``, float64."""
    if request.vocabulary and sum(request.vocabulary.values()) > len(request.vocabulary):
        counts: NDArray[np.float64] = np.array([request.vocabulary.get(word, 0) for word in table.words], np.float64)
        return counts / sum(request.vocabulary.values())
    by_rank: NDArray[np.float64] = 1 / np.arange(1, len(table) + 1, dtype=np.float64)
    shares: NDArray[np.float64] = by_rank / by_rank.sum()
    return shares
