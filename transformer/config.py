"""Configuration of the model: frozen dataclasses that validate their values.

The ``help`` of a field is the comment that ``vecformer config`` writes before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any


def option(default: Any, description: str) -> Any:
    """Return a dataclass field with a default and a help text."""
    return field(default=default, metadata={"help": description})


def require(condition: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless the condition holds."""
    if not condition:
        raise ValueError(message)


LIKE: dict[str, dict[str, Any]] = {
    "bert": {"norm": "post", "activation": "gelu", "embedding_norm": True, "norm_eps": 1e-12, "pooling": "cls",
             "convolutions": (), "d_embedding": 0},
    "gpt2": {"norm": "pre", "activation": "gelu-tanh", "embedding_norm": False, "norm_eps": 1e-5, "tied": True,
             "convolutions": (), "d_embedding": 0},
}
"""Values of an existing architecture, set by ``model.like``; only ``norm_eps`` can be changed."""


@dataclass(frozen=True)
class ModelConfig:
    """The architecture of the Transformer."""

    d_model: int = option(128, "width of the residual stream; a multiple of n_heads")
    d_embedding: int = option(0, "width of the embedding table, projected to d_model as in ELECTRA; 0 for d_model")
    n_layers: int = option(2, "number of layers of the encoder and of the decoder, at least 1")
    n_heads: int = option(4, "number of attention heads per layer; a divisor of d_model")
    d_ff: int = option(256, "width of the feed-forward block, at least 1")
    dropout: float = option(0.1, "dropout probability, at least 0 and below 1")
    like: str = option("", "arithmetic of bert or gpt2, for export without code of its own; \"\" for no restriction")
    norm: str = option("pre", "layer normalisation: pre (before each block) or post (after each residual sum)")
    activation: str = option("gelu", "activation of the feed-forward block: gelu, gelu-tanh, relu or swiglu")
    positions: str = option("sinusoidal", "position encoding: sinusoidal or learned (added to the embeddings), rotary "
                                          "or alibi (inside attention), or none")
    position_scale: float = option(1.0, "factor of the sinusoidal encoding; 0 for no positions")
    max_positions: int = option(512, "number of learned positions; at least data.max_length")
    embedding_norm: bool = option(False, "normalise the sum of token and position embeddings, as in BERT")
    norm_eps: float = option(1e-5, "value added to the variance in layer normalisation, above 0")
    pooling: str = option("mean-max", "pooling for classification: mean-max (mean and maximum of the output, mean of "
                                      "the embeddings) or cls (first token and a tanh layer, as in BERT)")
    convolutions: tuple[int, ...] = option((), "kernel widths (odd) of convolutions over tokens before the first "
                                               "encoder layer, such as [3, 5]; [] for none")
    token_types: int = option(0, "number of token types (segments); set by the task")
    tied: bool = option(True, "use the embedding table as the output layer over the vocabulary")

    def __post_init__(self) -> None:
        for name in ("d_model", "n_layers", "n_heads", "d_ff", "max_positions"):
            require(getattr(self, name) >= 1, f"model.{name} must be 1 or more, not {getattr(self, name)}")
        for name in ("token_types", "d_embedding"):
            require(getattr(self, name) >= 0, f"model.{name} must be 0 or more, not {getattr(self, name)}")
        require(self.d_model % self.n_heads == 0,
                f"model.d_model={self.d_model} is not a multiple of model.n_heads={self.n_heads}")
        choices = {"like": ("", *LIKE), "norm": ("pre", "post"), "activation": ("gelu", "gelu-tanh", "relu", "swiglu"),
                   "positions": ("sinusoidal", "learned", "rotary", "alibi", "none"), "pooling": ("mean-max", "cls")}
        for name, known in choices.items():
            require(getattr(self, name) in known,
                    f"model.{name} must be {' or '.join(map(repr, known))}, not {getattr(self, name)!r}")
        require(self.positions != "sinusoidal" or self.embedding_width % 2 == 0,
                f"model.d_embedding or model.d_model must be even for sinusoidal positions, not {self.embedding_width}")
        require(self.positions != "rotary" or self.d_head % 2 == 0,
                f"model.d_model / model.n_heads must be even for rotary positions, not {self.d_head}")
        require(0 <= self.dropout < 1, f"model.dropout must be from 0 to below 1, not {self.dropout}")
        require(self.norm_eps > 0, f"model.norm_eps must be above 0, not {self.norm_eps}")
        require(all(width >= 1 and width % 2 for width in self.convolutions),
                f"model.convolutions must be odd kernel widths, not {list(self.convolutions)}")
        for name, value in LIKE.get(self.like, {}).items():
            require(getattr(self, name) == value or name == "norm_eps",
                    f"model.like={self.like} needs model.{name}={value}, not {getattr(self, name)}")
        require(not self.like or self.positions in ("learned", "sinusoidal"),
                f"model.like={self.like} needs model.positions=learned or sinusoidal, not {self.positions}")

    @property
    def embedding_width(self) -> int:
        """Width of the embedding table, the added positions and the token types."""
        return self.d_embedding or self.d_model

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return self.d_model // self.n_heads


@dataclass(frozen=True)
class EmbeddingConfig:
    """The conversion of word vectors to the embedding layer."""

    scale: str = option("none", "standard deviation of the initial vectors: none (unchanged), xavier, unit (1) or "
                                "match=NUMBER, such as match=0.1")
    freeze: bool = option(False, "keep the word vectors constant during training")

    def __post_init__(self) -> None:
        require(self.scale in ("none", "xavier", "unit") or self.matched_spread() is not None,
                f"embedding.scale must be none, xavier, unit or match=NUMBER with a number above 0, not {self.scale!r}")

    def matched_spread(self) -> float | None:
        """Return the number of ``match=NUMBER``; None for other values."""
        match = re.fullmatch(r"match=(\d*\.?\d+(?:e-?\d+)?)", self.scale)
        return float(match[1]) if match and float(match[1]) > 0 else None
