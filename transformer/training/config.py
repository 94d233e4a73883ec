"""Configuration of training: a frozen dataclass that validates its values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from transformer.config import option, require

ClassWeights = Literal["none", "balanced"] | Mapping[str, float]

MAX_WEIGHT = 1e9  # of a label: sums of weighted losses are far from the limit of float32


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
    frozen_layers: int = option(0, "number of lowest layers that are constant, and the embeddings below them")
    unfreeze_epochs: int = option(0, "number of epochs after which one more layer from the top is trained, at first "
                                     "only the head; 0 trains all layers from the start")
    weight_decay: float = option(0.01, "weight decay of AdamW for weight matrices (not for biases, norms and word "
                                       "vectors)")
    warmup: float = option(0.1, "share of the steps with a rising learning rate, 0 to 1")
    schedule: str = option("linear", "learning rate after the warm-up: linear or cosine (decay to 0) or constant")
    clip: float = option(1.0, "maximum norm of the gradient, above 0")
    ema: float = option(0.99, "decay of the moving average of the weights, at least 0 and below 1; 0 keeps the last "
                              "weights")
    patience: int = option(5, "number of epochs without improvement on dev before training stops; 0 never stops early")
    device: str = option("auto", "auto (a GPU if available), cpu, cuda or cuda:N")
    precision: str = option("auto", "float32, bfloat16, or auto (bfloat16 where that is faster on this hardware, "
                                    "otherwise float32)")
    engine: str = option("auto", "implementation of the layers: auto (the fastest that applies), torch (plain PyTorch) "
                                 "or the name of an engine, such as native")
    class_weights: ClassWeights = field(default="none", metadata={
        "help": "weights of the labels in the loss: none; balanced (the inverse of their frequency); or a table of "
                "labels and weights, 1 for others"})
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
        require(self.frozen_layers >= 0, f"training.frozen_layers must be 0 or more, not {self.frozen_layers}")
        require(self.unfreeze_epochs >= 0, f"training.unfreeze_epochs must be 0 or more, not {self.unfreeze_epochs}")
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
        if isinstance(self.class_weights, Mapping):
            for label, weight in self.class_weights.items():
                require(0 <= weight <= MAX_WEIGHT, f"training.class_weights: the weight of {label!r} must be from 0 to "
                                                   f"{MAX_WEIGHT:g}, not {weight:g}")
        require(self.checkpoint_seconds >= 0,
                f"training.checkpoint_seconds must be 0 or more, not {self.checkpoint_seconds}")
