"""Word2Vec (Mikolov et al. 2013), trained by gensim on the task's own text or on a corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from embeddings.sources.registry import source
from embeddings.sources.request import VectorRequest
from embeddings.table import EmbeddingTable


@source("word2vec")
@dataclass(frozen=True)
class Word2Vec:
    """Trains Word2Vec on the training text, unlabelled text included, or on ``--corpus``.

    Attributes:
        dim: width of a vector.
        epochs: passes over the text.
        window: words to either side that count as context.
        min_count: leave out words that stand more rarely.
        negative: noise words drawn for each pair.
        sg: 1 for skip-gram, 0 for CBOW.
        sample: words above this share of the text are thinned out.
        workers: threads; with more than one the same seed no longer gives the same vectors.
    """

    dim: Annotated[int, Ge(1)] = 100
    epochs: Annotated[int, Ge(1)] = 10
    window: Annotated[int, Ge(1)] = 5
    min_count: Annotated[int, Ge(1)] = 2
    negative: Annotated[int, Ge(1)] = 5
    sg: Annotated[int, Ge(0)] = 1
    sample: Annotated[float, Ge(0)] = 1e-3
    workers: Annotated[int, Ge(1)] = 1

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Train on the request's texts; every word of them that stands ``min_count`` times gets a vector."""
        from gensim.models import Word2Vec as Gensim  # a second to import

        from embeddings.gensim_training import build_and_train, corpus_file

        with corpus_file(request, "word2vec") as path:
            model = Gensim(
                vector_size=self.dim, epochs=self.epochs, window=self.window, min_count=self.min_count,
                negative=self.negative, sg=self.sg, sample=self.sample, workers=self.workers, seed=request.seed,
            )
            build_and_train(model, path, request, "word2vec")
        return EmbeddingTable.known(model.wv.index_to_key, model.wv.vectors, "word2vec")
