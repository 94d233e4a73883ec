"""Word2Vec (Mikolov et al. 2013), trained by gensim on the task's own text or on a corpus, or read from a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from embeddings.gensim_training.trainer import TrainedVectors, TrainingOptions, train
from embeddings.request import VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable


@source("word2vec")
@dataclass(frozen=True)
class Word2Vec(TrainingOptions):
    """Trains Word2Vec on the training text, unlabelled text included, or on ``--corpus``; ``word2vec:FILE`` reads."""

    name: ClassVar[str] = "word2vec"

    def train(self, request: VectorRequest) -> TrainedVectors:
        """Train on the request's texts; every word of them that stands ``min_count`` times gets a vector."""
        from gensim.models import Word2Vec as Gensim  # a second to import

        model = train(self, request, Gensim)
        return TrainedVectors(model, EmbeddingTable.known(model.wv.index_to_key, model.wv.vectors, self.name))
