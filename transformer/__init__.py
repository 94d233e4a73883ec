"""From token ids to logits, and training of the weights. Reads no vector files and has no commands."""

from transformer.config import EmbeddingConfig, ModelConfig
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import ClassificationHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder
from transformer.training.config import TrainingConfig
from transformer.training.trainer import Evaluation, Trainer

WordEmbedding = TokenEmbedding  # the name of version 0.1.0

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
