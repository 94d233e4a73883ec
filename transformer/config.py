"""Configuration of the model, its training and generation: frozen dataclasses that validate their values.

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
             "convolutions": ()},
    "gpt2": {"norm": "pre", "activation": "gelu-tanh", "embedding_norm": False, "norm_eps": 1e-5, "tied": True,
             "convolutions": ()},
}
"""Values that an existing architecture fixes: they are set by ``model.like`` and cannot be changed."""


@dataclass(frozen=True)
class ModelConfig:
    """The architecture of the Transformer."""

    d_model: int = option(128, "width of the residual stream; a multiple of n_heads")
    n_layers: int = option(2, "number of layers of the encoder and of the decoder, at least 1")
    n_heads: int = option(4, "number of attention heads per layer; a divisor of d_model")
    d_ff: int = option(256, "width of the feed-forward block, at least 1")
    dropout: float = option(0.1, "dropout probability, at least 0 and below 1")
    like: str = option("", "use the arithmetic of bert or gpt2, so that the run can be exported; \"\" for no "
                           "restriction")
    norm: str = option("pre", "position of layer normalisation: pre (before each block) or post (after each residual "
                              "sum)")
    activation: str = option("gelu", "activation of the feed-forward block: gelu, gelu-tanh, relu or swiglu")
    positions: str = option("sinusoidal", "position encoding: sinusoidal or learned (added to the embeddings), rotary "
                                          "or alibi (inside attention), or none")
    position_scale: float = option(1.0, "factor of the sinusoidal encoding; 0 for no positions")
    max_positions: int = option(512, "number of learned positions; at least data.max_length")
    embedding_norm: bool = option(False, "apply layer normalisation to the sum of token and position embeddings, as in "
                                         "BERT")
    norm_eps: float = option(1e-5, "value added to the variance in layer normalisation, above 0")
    pooling: str = option("mean-max", "pooling of a text for classification: mean-max (mean and maximum of the "
                                      "encoder's output, mean of the embeddings) or cls (first token and a tanh layer, "
                                      "as in BERT)")
    convolutions: tuple[int, ...] = option((), "kernel widths (odd) of convolutions over tokens before the first "
                                               "encoder layer, such as [3, 5]; [] for none")
    token_types: int = option(0, "number of token types (segments); set by the task")
    tied: bool = option(True, "use the embedding table as the output layer over the vocabulary")

    def __post_init__(self) -> None:
        for name in ("d_model", "n_layers", "n_heads", "d_ff", "max_positions"):
            require(getattr(self, name) >= 1, f"model.{name} must be 1 or more, not {getattr(self, name)}")
        require(self.d_model % self.n_heads == 0,
                f"model.d_model={self.d_model} is not a multiple of model.n_heads={self.n_heads}")
        choices = {"like": ("", *LIKE), "norm": ("pre", "post"), "activation": ("gelu", "gelu-tanh", "relu", "swiglu"),
                   "positions": ("sinusoidal", "learned", "rotary", "alibi", "none"), "pooling": ("mean-max", "cls")}
        for name, known in choices.items():
            require(getattr(self, name) in known,
                    f"model.{name} must be {' or '.join(map(repr, known))}, not {getattr(self, name)!r}")
        require(self.positions != "sinusoidal" or self.d_model % 2 == 0,
                f"model.d_model must be even for sinusoidal positions, not {self.d_model}")
        require(self.positions != "rotary" or self.d_head % 2 == 0,
                f"model.d_model / model.n_heads must be even for rotary positions, not {self.d_head}")
        require(0 <= self.dropout < 1, f"model.dropout must be from 0 to below 1, not {self.dropout}")
        require(self.norm_eps > 0, f"model.norm_eps must be above 0, not {self.norm_eps}")
        require(all(width >= 1 and width % 2 for width in self.convolutions),
                f"model.convolutions must be odd kernel widths, not {list(self.convolutions)}")
        require(self.token_types >= 0, f"model.token_types must be 0 or more, not {self.token_types}")
        for name, value in LIKE.get(self.like, {}).items():
            require(getattr(self, name) == value, f"model.like={self.like} needs model.{name}={value}, "
                                                  f"not {getattr(self, name)}")
        require(not self.like or self.positions in ("learned", "sinusoidal"),
                f"model.like={self.like} needs model.positions=learned or sinusoidal, not {self.positions}")

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


@dataclass(frozen=True)
class TrainingConfig:
    """Training."""

    epochs: int = option(0, "maximum number of training epochs; 0 for about 1000 steps, from 10 to 20 epochs")
    batch_size: int = option(16, "examples per batch, at least 1")
    batch_tokens: int = option(0, "approximate number of tokens per batch, such as 4096; 0 for batch_size examples")
    accumulate: int = option(1, "number of batches whose gradients are accumulated for one step, at least 1")
    lr: float = option(1e-3, "peak learning rate, above 0")
    table_lr: float = option(0.0, "peak learning rate of the word vectors; 0 for the same as other weights")
    layer_decay: float = option(1.0, "ratio of a layer's learning rate to that of the layer above, above 0 and at most "
                                     "1")
    freeze_epochs: int = option(0, "number of initial epochs in which the word vectors are constant")
    weight_decay: float = option(0.01, "weight decay of AdamW for weight matrices (not for biases, norms and word "
                                       "vectors)")
    warmup: float = option(0.1, "share of the steps with a rising learning rate, 0 to 1")
    schedule: str = option("linear", "learning rate after the warm-up: linear or cosine (decay to 0) or constant")
    clip: float = option(1.0, "maximum norm of the gradient, above 0")
    ema: float = option(0.99, "decay of the moving average of the weights, at least 0 and below 1; 0 keeps the last "
                              "weights")
    patience: int = option(5, "number of epochs without improvement on dev before training stops; 0 never stops early")
    device: str = option("auto", "auto (a GPU if available), cpu, cuda or cuda:N")
    precision: str = option("auto", "float32, bfloat16, or auto (bfloat16 where the hardware multiplies it faster, "
                                    "otherwise float32)")
    engine: str = option("auto", "implementation of the layers: auto (the fastest that applies), torch (plain PyTorch) "
                                 "or the name of an engine, such as native")
    checkpoint_seconds: float = option(30.0, "seconds between checkpoints for resuming an interrupted run; 0 saves one "
                                             "at every step")

    def __post_init__(self) -> None:
        require(self.epochs >= 0, f"training.epochs must be 1 or more, or 0 for about 1000 steps, not {self.epochs}")
        require(self.batch_size >= 1, f"training.batch_size must be 1 or more, not {self.batch_size}")
        require(self.batch_tokens >= 0,
                f"training.batch_tokens must be 0 (batches of batch_size) or more, not {self.batch_tokens}")
        require(self.accumulate >= 1, f"training.accumulate must be 1 or more, not {self.accumulate}")
        require(self.lr > 0, f"training.lr must be above 0, not {self.lr}")
        require(self.table_lr >= 0, f"training.table_lr must be 0 (as for other weights) or more, not {self.table_lr}")
        require(0 < self.layer_decay <= 1,
                f"training.layer_decay must be above 0 and at most 1, not {self.layer_decay}")
        require(self.freeze_epochs >= 0, f"training.freeze_epochs must be 0 or more, not {self.freeze_epochs}")
        require(self.weight_decay >= 0, f"training.weight_decay must be 0 or more, not {self.weight_decay}")
        require(0 <= self.warmup <= 1, f"training.warmup must be from 0 to 1, not {self.warmup}")
        require(self.schedule in ("linear", "cosine", "constant"),
                f"training.schedule must be linear, cosine or constant, not {self.schedule!r}")
        require(self.clip > 0, f"training.clip must be above 0, not {self.clip}")
        require(0 <= self.ema < 1, f"training.ema must be from 0 to below 1, not {self.ema}")
        require(self.patience >= 0, f"training.patience must be 0 or more, not {self.patience}")
        require(re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device) is not None,
                f"training.device must be auto, cpu or cuda, not {self.device!r}")
        require(self.precision in ("auto", "float32", "bfloat16"),
                f"training.precision must be auto, float32 or bfloat16, not {self.precision!r}")
        require(self.checkpoint_seconds >= 0,
                f"training.checkpoint_seconds must be 0 or more, not {self.checkpoint_seconds}")


@dataclass(frozen=True)
class GenerationConfig:
    """Generation of text."""

    beam: int = option(4, "number of hypotheses of beam search in translation, at least 1; 1 is greedy decoding")
    length_penalty: float = option(1.0, "exponent of the length by which beam search divides log-probabilities, at "
                                        "least 0")
    max_tokens: int = option(60, "maximum number of generated tokens, at least 1")
    temperature: float = option(1.0, "sampling temperature of language models, at least 0; 0 is greedy decoding")
    top_k: int = option(0, "sample from the k most probable tokens; 0 for all")
    top_p: float = option(1.0, "sample from the most probable tokens with this total probability, above 0 and at most "
                               "1")

    def __post_init__(self) -> None:
        require(self.beam >= 1, f"generation.beam must be 1 or more, not {self.beam}")
        require(self.length_penalty >= 0, f"generation.length_penalty must be 0 or more, not {self.length_penalty}")
        require(self.max_tokens >= 1, f"generation.max_tokens must be 1 or more, not {self.max_tokens}")
        require(self.temperature >= 0, f"generation.temperature must be 0 or more, not {self.temperature}")
        require(self.top_k >= 0, f"generation.top_k must be 0 (all) or more, not {self.top_k}")
        require(0 < self.top_p <= 1, f"generation.top_p must be above 0 and up to 1, not {self.top_p}")
