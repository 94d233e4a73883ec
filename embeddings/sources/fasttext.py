"""FastText (Bojanowski et al. 2017): Word2Vec with character n-grams, which give any word a vector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field

from embeddings.gensim_training.trainer import TrainedVectors, TrainingOptions, train
from embeddings.request import VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.oov_composers import NgramVectors


@source("fasttext")
@dataclass(frozen=True)
class FastText(TrainingOptions):
    """Trains FastText on the training text or on ``--corpus``; ``fasttext:FILE`` reads a file instead.

    Words below ``min_count`` get a vector from their character n-grams.
    """

    name: ClassVar[str] = "fasttext"
    example: ClassVar[str] = "fasttext,dim=200,epochs=5,min_n=3,max_n=5"

    min_n: Annotated[int, Field(ge=1, description="shortest character n-gram, in characters, such as 3")] = 3
    max_n: Annotated[int, Field(ge=1, description="longest character n-gram, in characters, such as 6")] = 6
    buckets: Annotated[int, Field(ge=1, description=(
        "number of vectors that n-grams are hashed into, such as 2000000 for a large corpus; each takes 4 x dim "
        "bytes in a run"))] = 100_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_n < self.min_n:
            raise ValueError(f"max_n={self.max_n} is less than min_n={self.min_n}")

    def train(self, request: VectorRequest) -> TrainedVectors:
        """Train on the request's texts; the table's composer holds the n-gram vectors."""
        model = train(self, request, "FastText")
        table = EmbeddingTable.known(model.wv.index_to_key, model.wv.vectors, self.name)
        ngrams = NgramVectors(model.wv.vectors_ngrams, min_n=self.min_n, max_n=self.max_n)
        return TrainedVectors(model, replace(table, composer=ngrams))
