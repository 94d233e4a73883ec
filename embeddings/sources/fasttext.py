"""FastText (Bojanowski et al. 2017): Word2Vec over character n-grams, so that any word gets a vector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Ge

from embeddings.gensim_training.trainer import TrainedVectors, TrainingOptions, train
from embeddings.request import VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.oov_composers import NgramVectors


@source("fasttext")
@dataclass(frozen=True)
class FastText(TrainingOptions):
    """Trains FastText on the training text or on ``--corpus``; knows parts of words. ``fasttext:FILE`` reads.

    Words that stand more rarely than ``min_count`` still get a vector from their n-grams.

    Attributes:
        min_n: shortest character n-gram.
        max_n: longest character n-gram.
        buckets: n-grams are hashed into this many vectors, which are kept with a run (4 bytes x dim each).
    """

    name: ClassVar[str] = "fasttext"

    min_n: Annotated[int, Ge(1)] = 3
    max_n: Annotated[int, Ge(1)] = 6
    buckets: Annotated[int, Ge(1)] = 100_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_n < self.min_n:
            raise ValueError(f"max_n={self.max_n} is less than min_n={self.min_n}")

    def train(self, request: VectorRequest) -> TrainedVectors:
        """Train on the request's texts; the n-gram vectors come along in the table."""
        from gensim.models import FastText as Gensim  # a second to import

        model = train(self, request, Gensim)
        table = EmbeddingTable.known(model.wv.index_to_key, model.wv.vectors, self.name)
        ngrams = NgramVectors(model.wv.vectors_ngrams, min_n=self.min_n, max_n=self.max_n)
        return TrainedVectors(model, replace(table, composer=ngrams))
