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


LIKE: dict[str, dict[str, Any]] = {
    "bert": {"norm": "post", "activation": "gelu", "embedding_norm": True, "norm_eps": 1e-12, "pooling": "cls",
             "convolutions": ()},
    "gpt2": {"norm": "pre", "activation": "gelu-tanh", "embedding_norm": False, "norm_eps": 1e-5, "tied": True,
             "convolutions": ()},
}
"""What an architecture that others know fixes; its keys need not be given, and cannot be otherwise."""


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the Transformer."""

    d_model: int = option(128, "width of the residual stream; a multiple of n_heads")
    n_layers: int = option(2, "number of layers, of the encoder and of the decoder each")
    n_heads: int = option(4, "attention heads in each layer")
    d_ff: int = option(256, "width inside the feed-forward block")
    dropout: float = option(0.1, "share of activations dropped in training, 0 to below 1")
    like: str = option("", "keep to the arithmetic of bert or gpt2, so that the run can be exported; \"\" is our own")
    norm: str = option("pre", "where layer norms stand: pre (before each branch) or post (behind each sum)")
    activation: str = option("gelu", "inside the feed-forward block: gelu, gelu-tanh, relu or swiglu")
    positions: str = option("sinusoidal", "position encoding: sinusoidal or learned (added to the embeddings), rotary "
                                          "or alibi (inside attention), or none")
    position_scale: float = option(1.0, "the sinusoidal encoding is multiplied by this; 0 for no positions")
    max_positions: int = option(512, "places that learned positions have a row for")
    embedding_norm: bool = option(False, "a layer norm behind the sum of words and positions, as BERT has")
    norm_eps: float = option(1e-5, "added to the variance in layer norms")
    pooling: str = option("mean-max", "pooling of a text for its label: mean-max (mean and maximum of the encoder's "
                                      "output, mean of the embeddings) or cls (first token and a tanh layer, as BERT)")
    convolutions: tuple[int, ...] = option((), "widths of convolutions over neighbouring words before the first layer "
                                               "of an encoder, as [3, 5]; [] for none")
    token_types: int = option(0, "number of token types (segments) with a trained embedding; set by the task")
    tied: bool = option(True, "the output layer over words is the table itself")

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
                f"model.convolutions must be odd numbers of words, not {list(self.convolutions)}")
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

    epochs: int = option(0, "passes over the training examples, fewer if early stopping ends them; 0: as many as make "
                            "about 1000 steps, from 10 to 20")
    batch_size: int = option(16, "texts in a batch")
    batch_tokens: int = option(0, "words in a batch, about, instead of a number of texts, as 4096; 0: batch_size")
    accumulate: int = option(1, "batches whose gradients are added up for one step")
    lr: float = option(1e-3, "highest learning rate")
    table_lr: float = option(0.0, "highest learning rate of the word vectors; 0 treats them like other weights")
    layer_decay: float = option(1.0, "each layer's learning rate is that of the layer above times this; 1 for one rate")
    freeze_epochs: int = option(0, "first epochs in which the word vectors stay as they are")
    weight_decay: float = option(0.01, "AdamW's decay of weight matrices (not of biases, norms and word vectors)")
    warmup: float = option(0.1, "share of the steps over which the learning rate rises")
    schedule: str = option("linear", "how it goes on from there: linear or cosine (both fall to 0) or constant")
    clip: float = option(1.0, "gradients longer than this are shortened to it")
    ema: float = option(0.99, "decay of the moving average of the weights that is kept; 0 keeps the last weights")
    patience: int = option(5, "stop after this many epochs without a better dev score; 0 never stops early")
    device: str = option("auto", "auto (a GPU if there is one), cpu or cuda")
    precision: str = option("auto", "auto (bfloat16 on a GPU or processor that multiplies it faster, else float32), "
                                      "float32 or bfloat16")
    engine: str = option("auto", "implementation of the layers: auto (the fastest that applies), torch (plain PyTorch) "
                                 "or the name of an engine, such as native")
    checkpoint_seconds: float = option(30.0, "time between checkpoints that a stopped run goes on from; 0: every step")

    def __post_init__(self) -> None:
        require(self.epochs >= 0, f"training.epochs must be 1 or more, or 0 to go by the steps, not {self.epochs}")
        require(self.batch_size >= 1, f"training.batch_size must be 1 or more, not {self.batch_size}")
        require(self.batch_tokens >= 0,
                f"training.batch_tokens must be 0 (batches of batch_size) or more, not {self.batch_tokens}")
        require(self.accumulate >= 1, f"training.accumulate must be 1 or more, not {self.accumulate}")
        require(self.lr > 0, f"training.lr must be above 0, not {self.lr}")
        require(self.table_lr >= 0, f"training.table_lr must be 0 (no rate of their own) or more, not {self.table_lr}")
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
    """How text is written, word by word."""

    beam: int = option(4, "translations that are followed side by side; 1 takes the likeliest word each time")
    length_penalty: float = option(1.0, "finished translations are compared by log-probability / length ** this")
    max_tokens: int = option(60, "maximum number of generated tokens")
    temperature: float = option(1.0, "language models: above 1 wilder, below 1 tamer, 0 always the likeliest word")
    top_k: int = option(0, "language models: draw from the likeliest k words only; 0 for all")
    top_p: float = option(1.0, "language models: draw from the likeliest words that make up this probability")

    def __post_init__(self) -> None:
        require(self.beam >= 1, f"generation.beam must be 1 or more, not {self.beam}")
        require(self.length_penalty >= 0, f"generation.length_penalty must be 0 or more, not {self.length_penalty}")
        require(self.max_tokens >= 1, f"generation.max_tokens must be 1 or more, not {self.max_tokens}")
        require(self.temperature >= 0, f"generation.temperature must be 0 or more, not {self.temperature}")
        require(self.top_k >= 0, f"generation.top_k must be 0 (all) or more, not {self.top_k}")
        require(0 < self.top_p <= 1, f"generation.top_p must be above 0 and up to 1, not {self.top_p}")
