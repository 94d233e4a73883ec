"""Stage two: ids to logits to trained weights. Takes word vectors as a table; knows no vector file and no command."""

from transformer.config import EmbeddingConfig, ModelConfig, TrainingConfig
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import ClassificationHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder
from transformer.training.trainer import Evaluation, Trainer

__all__ = [
    "ClassificationHead",
    "EmbeddingConfig",
    "Encoder",
    "Evaluation",
    "ModelConfig",
    "TokenEmbedding",
    "Trainer",
    "TrainingConfig",
    "TransformerModel",
]
