"""Which weights decay, how fast each of them learns, and how that changes over the steps."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import Any

from torch import nn

from transformer.config import TrainingConfig
from transformer.layers.embedding import TokenEmbedding

INPUT = re.compile(r"(^|[._])(embedding|positions|token_types|convolutions)([._]|$)")
LAYER = re.compile(r"(?P<stack>.*?)\blayers\.(?P<number>\d+)\.")


def parameter_groups(model: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    """What AdamW takes: a group for the tables and, for each rate, one with and one without decay.

    Only weight matrices decay. Biases, norms, positions and word vectors do not: a decayed word vector forgets its
    source a little at every step, whether its word was met or not.

    A layer learns at the rate of the layer above times ``config.layer_decay`` (Howard & Ruder 2018, "discriminative
    fine-tuning"). The heads, and all that is no layer and no input, are the top; embeddings, their projections and
    convolutions are below layer 0; ``config.table_lr`` sets the tables' rate apart from all this.
    """
    tables = {id(table) for table in trained_tables(model)}
    rows = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    depths = depths_below_top(model)
    groups = defaultdict(list)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        table = id(parameter) in tables
        matrix = parameter.ndim >= 2 and not table and id(parameter) not in rows and "positions" not in name.split(".")
        lr = config.table_lr if table and config.table_lr else config.lr * config.layer_decay ** depths[name]
        groups[table, lr, config.weight_decay if matrix else 0.0].append(parameter)
    return [{"params": parameters, "lr": lr, "highest_lr": lr, "weight_decay": decay}
            for (_, lr, decay), parameters in groups.items()]


def trained_tables(model: nn.Module) -> list[nn.Parameter]:
    """The word vectors that are trained, each table once, whether or not it is tied to another or to an output."""
    tables = {id(module.weight): module.weight for module in model.modules() if isinstance(module, TokenEmbedding)}
    return [table for table in tables.values() if table.requires_grad]


def depths_below_top(model: nn.Module) -> dict[str, int]:
    """How many layers below the top each weight is, by its name; encoder and decoder are counted each by itself."""
    names = [name for name, _ in model.named_parameters()]
    layers = {name: match for name in names if (match := LAYER.match(name))}
    heights: dict[str, int] = defaultdict(int)
    for match in layers.values():
        heights[match["stack"]] = max(heights[match["stack"]], int(match["number"]) + 1)
    depths = {}
    for name in names:
        if name in layers:
            depths[name] = heights[layers[name]["stack"]] - int(layers[name]["number"])
        else:
            depths[name] = max(heights.values(), default=0) + 1 if INPUT.search(name) else 0
    return depths


def n_epochs(config: TrainingConfig, steps_per_epoch: int) -> int:
    """Passes over the training examples: by the configuration, or as many as make about 1,000 steps, from 10 to 20.

    Few examples need the passes. With many, dev stops to improve when half of 20 passes are over: early stopping then
    ends training while the rate is still high, which costs accuracy (``speed/LOG.md``).
    """
    return config.epochs or min(max(round(1000 / max(1, steps_per_epoch)), 10), 20)


def share_of_rate(step: int, config: TrainingConfig, n_steps: int) -> float:
    """The share of the highest learning rate at a step: linear warm-up, then what ``config.schedule`` says.

    Args:
        step: from 0.
        config: its first ``warmup`` share of the steps is the warm-up. Then the rate falls to 0, in a line or as half a
            cosine (Loshchilov & Hutter 2017), or stays.
        n_steps: of the whole training.
    """
    n_warm = round(config.warmup * n_steps)
    if step < n_warm:
        return (step + 1) / n_warm
    left = max(0.0, (n_steps - step) / max(1, n_steps - n_warm))
    return {"linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2, "constant": 1.0}[config.schedule]
