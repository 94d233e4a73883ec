"""From token ids to logits, and training of the weights. Reads no vector files and has no commands."""

import os

import torch

from embeddings.threads import n_cores
from transformer.config import EmbeddingConfig, ModelConfig
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import ClassificationHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder
from transformer.training.config import TrainingConfig
from transformer.training.trainer import Evaluation, Trainer

if n_cores() < torch.get_num_threads() and "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(n_cores())  # PyTorch does not read the CPU quota of a container

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
