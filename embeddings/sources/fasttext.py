"""FastText (Bojanowski et al. 2017): Word2Vec over character n-grams, so that any word gets a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from embeddings.composition import NgramVectors
from embeddings.gensim_training import TrainingOptions, train
from embeddings.sources.registry import source
from embeddings.sources.request import VectorRequest
from embeddings.table import EmbeddingTable
from embeddings.unknown import EXACT


@source("fasttext")
@dataclass(frozen=True)
class FastText(TrainingOptions):
    """Trains FastText on the training text, unlabelled text included, or on ``--corpus``; knows parts of words.

    Words that stand more rarely than ``min_count`` still get a vector from their n-grams.

    Attributes:
        min_n: shortest character n-gram.
        max_n: longest character n-gram.
        buckets: n-grams are hashed into this many vectors, which are kept with a run (4 bytes x dim each).
    """

    min_n: Annotated[int, Ge(1)] = 3
    max_n: Annotated[int, Ge(1)] = 6
    buckets: Annotated[int, Ge(1)] = 100_000

    def __post_init__(self) -> None:
        if self.max_n < self.min_n:
            raise ValueError(f"max_n={self.max_n} is less than min_n={self.min_n}")

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Train on the request's texts; the n-gram vectors come along in the table."""
        from gensim.models import FastText as Gensim  # a second to import

        model = train(self, request, name="fasttext", model_class=Gensim, buckets="bucket")
        words = tuple(model.wv.index_to_key)
        ngrams = NgramVectors(model.wv.vectors_ngrams, min_n=self.min_n, max_n=self.max_n)
        return EmbeddingTable(words, model.wv.vectors, (EXACT,) * len(words), "fasttext", composer=ngrams)
