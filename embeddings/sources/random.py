"""Random vectors: the baseline that every other source has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from embeddings.errors import EmbeddingError
from embeddings.sources.registry import source
from embeddings.sources.request import VectorRequest
from embeddings.table import EmbeddingTable
from embeddings.unknown import RANDOM


@source("random")
@dataclass(frozen=True)
class Random:
    """Draws a vector for each word of the training text; the baseline to compare with.

    Attributes:
        dim: width; by default the model's.
        init: ``xavier`` (uniform, Glorot & Bengio 2010), ``normal`` (spread 1) or ``uniform`` (-1 to 1).
    """

    dim: Annotated[int, Ge(1)] | None = None
    init: Literal["xavier", "normal", "uniform"] = "xavier"

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Draw the vectors, decided by the seed."""
        if request.vocabulary is None:
            raise EmbeddingError("the source 'random' knows no words of its own: give it a vocabulary")
        words = tuple(request.vocabulary)
        shape = (len(words), self.dim or request.dim)
        generator = np.random.default_rng(request.seed)
        if self.init == "normal":
            vectors = generator.standard_normal(shape)
        else:
            bound = (6 / sum(shape)) ** 0.5 if self.init == "xavier" else 1.0
            vectors = generator.uniform(-bound, bound, shape)
        return EmbeddingTable(words, vectors.astype(np.float32), (RANDOM,) * len(words), "random")
