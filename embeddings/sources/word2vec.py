"""Word2Vec (Mikolov et al. 2013), trained by gensim on the task's text or on a corpus, or read from a file."""

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
    """Trains Word2Vec on the training text or on ``--corpus``; ``word2vec:FILE`` reads a file instead.

    The training text includes unlabelled text.
    """

    name: ClassVar[str] = "word2vec"
    example: ClassVar[str] = "word2vec,dim=200,epochs=5,window=5"

    @property
    def reads_tokens(self) -> bool:
        """Whether it trains on the tokens themselves, not on words."""
        return self.path is None

    def train(self, request: VectorRequest) -> TrainedVectors:
        """Train on the request's texts; words that occur at least ``min_count`` times get a vector."""
        model = train(self, request, "Word2Vec")
        return TrainedVectors(model, EmbeddingTable.known(model.wv.index_to_key, model.wv.vectors, self.name))
