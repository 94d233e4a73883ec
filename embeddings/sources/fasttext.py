"""FastText (Bojanowski et al. 2017): Word2Vec over character n-grams, so that any word gets a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from embeddings.ngrams import NgramVectors
from embeddings.sources.registry import source
from embeddings.sources.request import VectorRequest
from embeddings.table import EmbeddingTable
from embeddings.unknown import EXACT


@source("fasttext")
@dataclass(frozen=True)
class FastText:
    """Trains FastText on the training text, unlabelled text included, or on ``--corpus``; knows parts of words.

    Attributes:
        dim: width of a vector.
        epochs: passes over the text.
        window: words to either side that count as context.
        min_count: leave out words that stand more rarely (they still get a vector from their n-grams).
        negative: noise words drawn for each pair.
        sg: 1 for skip-gram, 0 for CBOW.
        sample: words above this share of the text are thinned out.
        min_n: shortest character n-gram.
        max_n: longest character n-gram.
        buckets: n-grams are hashed into this many vectors, which are kept with a run (4 bytes x dim each).
        workers: threads; with more than one the same seed no longer gives the same vectors.
    """

    dim: Annotated[int, Ge(1)] = 100
    epochs: Annotated[int, Ge(1)] = 10
    window: Annotated[int, Ge(1)] = 5
    min_count: Annotated[int, Ge(1)] = 2
    negative: Annotated[int, Ge(1)] = 5
    sg: Annotated[int, Ge(0)] = 1
    sample: Annotated[float, Ge(0)] = 1e-3
    min_n: Annotated[int, Ge(1)] = 3
    max_n: Annotated[int, Ge(1)] = 6
    buckets: Annotated[int, Ge(1)] = 100_000
    workers: Annotated[int, Ge(1)] = 1

    def __post_init__(self) -> None:
        if self.max_n < self.min_n:
            raise ValueError(f"max_n={self.max_n} is less than min_n={self.min_n}")

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Train on the request's texts; the n-gram vectors come along in the table."""
        from gensim.models import FastText as Gensim  # a second to import

        from embeddings.gensim_training import build_and_train, corpus_file

        with corpus_file(request, "fasttext") as path:
            model = Gensim(
                vector_size=self.dim, epochs=self.epochs, window=self.window, min_count=self.min_count,
                negative=self.negative, sg=self.sg, sample=self.sample, min_n=self.min_n, max_n=self.max_n,
                bucket=self.buckets, workers=self.workers, seed=request.seed,
            )
            build_and_train(model, path, request, "fasttext")
        words = tuple(model.wv.index_to_key)
        ngrams = NgramVectors(model.wv.vectors_ngrams, min_n=self.min_n, max_n=self.max_n)
        return EmbeddingTable(words, model.wv.vectors, (EXACT,) * len(words), "fasttext", ngrams=(ngrams,))
