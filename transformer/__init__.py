"""From token ids to logits, and training of the weights. Reads no vector files and has no commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformer.config import EmbeddingConfig, ModelConfig
    from transformer.layers.embedding import TokenEmbedding
    from transformer.models.heads import ClassificationHead
    from transformer.models.models import TransformerModel
    from transformer.models.stack import Encoder
    from transformer.training.config import TrainingConfig
    from transformer.training.trainer import Evaluation, Trainer

# Imported on first access, because configurations need no PyTorch.
_HOMES = {
    "ClassificationHead": "transformer.models.heads",
    "EmbeddingConfig": "transformer.config",
    "Encoder": "transformer.models.stack",
    "Evaluation": "transformer.training.trainer",
    "ModelConfig": "transformer.config",
    "TokenEmbedding": "transformer.layers.embedding",
    "Trainer": "transformer.training.trainer",
    "TrainingConfig": "transformer.training.config",
    "TransformerModel": "transformer.models.models",
}
_NAMES_OF_0_1_0 = {"WordEmbedding": "TokenEmbedding"}

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


def __getattr__(name: str) -> Any:
    current = _NAMES_OF_0_1_0.get(name, name)
    if current not in _HOMES:
        raise AttributeError(f"module 'transformer' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[current]), current)
