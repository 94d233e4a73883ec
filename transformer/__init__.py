"""Stage two: ids to logits to trained weights. Takes word vectors as a table; knows no vector file and no command."""

from transformer.config import EmbeddingConfig, ModelConfig, TrainingConfig
from transformer.embedding import WordEmbedding
from transformer.heads import ClassificationHead
from transformer.model import TransformerModel
from transformer.stack import Encoder
from transformer.training import Evaluation, Trainer

__all__ = [
    "ClassificationHead", "EmbeddingConfig", "Encoder", "Evaluation", "ModelConfig", "Trainer", "TrainingConfig",
    "TransformerModel", "WordEmbedding",
]
