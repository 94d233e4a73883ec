"""What can be configured of the model and of its training: one frozen dataclass each, which checks itself.

Each field's ``help`` is the comment that ``vecformer config`` writes beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any


def option(default: Any, description: str) -> Any:
    """Make a dataclass field with a default and a line of help."""
    return field(default=default, metadata={"help": description})


def require(condition: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless the condition holds."""
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the Transformer."""

    d_model: int = option(128, "width of the residual stream; a multiple of n_heads")
    n_layers: int = option(2, "number of encoder layers")
    n_heads: int = option(4, "attention heads in each layer")
    d_ff: int = option(256, "width inside the feed-forward block")
    dropout: float = option(0.1, "share of activations dropped in training, 0 to below 1")
    position_scale: float = option(1.0, "the sinusoidal encoding is multiplied by this; 0 for no positions")

    def __post_init__(self) -> None:
        for name in ("d_model", "n_layers", "n_heads", "d_ff"):
            require(getattr(self, name) >= 1, f"model.{name} must be 1 or more, not {getattr(self, name)}")
        require(self.d_model % self.n_heads == 0,
                f"model.d_model={self.d_model} is not a multiple of model.n_heads={self.n_heads}")
        require(self.d_model % 2 == 0, f"model.d_model must be even for sinusoidal positions, not {self.d_model}")
        require(0 <= self.dropout < 1, f"model.dropout must be from 0 to below 1, not {self.dropout}")


@dataclass(frozen=True)
class EmbeddingConfig:
    """How a table of word vectors becomes the embedding layer."""

    scale: str = option("none", "spread to bring the vectors to: none, xavier, unit (1) or match=0.1 (any number)")
    freeze: bool = option(False, "keep the word vectors as they are instead of training them")

    def __post_init__(self) -> None:
        require(self.scale in ("none", "xavier", "unit") or self.matched_spread() is not None,
                f"embedding.scale must be none, xavier, unit or match=NUMBER with a number above 0, not {self.scale!r}")

    def matched_spread(self) -> float | None:
        """The number in ``match=NUMBER``, if there is one."""
        match = re.fullmatch(r"match=(\d*\.?\d+(?:e-?\d+)?)", self.scale)
        return float(match[1]) if match and float(match[1]) > 0 else None


@dataclass(frozen=True)
class TrainingConfig:
    """How the model is trained."""

    epochs: int = option(20, "passes over the training examples; fewer if early stopping ends them")
    batch_size: int = option(16, "texts in a batch")
    lr: float = option(1e-3, "highest learning rate")
    weight_decay: float = option(0.01, "AdamW's decay of weight matrices (not of biases, norms and word vectors)")
    warmup: float = option(0.1, "share of the steps over which the learning rate rises; it then falls to 0")
    clip: float = option(1.0, "gradients longer than this are shortened to it")
    ema: float = option(0.99, "decay of the moving average of the weights that is kept; 0 keeps the last weights")
    patience: int = option(5, "stop after this many epochs without a better dev score; 0 never stops early")
    device: str = option("auto", "auto (a GPU if there is one), cpu or cuda")

    def __post_init__(self) -> None:
        require(self.epochs >= 1, f"training.epochs must be 1 or more, not {self.epochs}")
        require(self.batch_size >= 1, f"training.batch_size must be 1 or more, not {self.batch_size}")
        require(self.lr > 0, f"training.lr must be above 0, not {self.lr}")
        require(self.weight_decay >= 0, f"training.weight_decay must be 0 or more, not {self.weight_decay}")
        require(0 <= self.warmup <= 1, f"training.warmup must be from 0 to 1, not {self.warmup}")
        require(self.clip > 0, f"training.clip must be above 0, not {self.clip}")
        require(0 <= self.ema < 1, f"training.ema must be from 0 to below 1, not {self.ema}")
        require(self.patience >= 0, f"training.patience must be 0 or more, not {self.patience}")
        require(re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device) is not None,
                f"training.device must be auto, cpu or cuda, not {self.device!r}")
