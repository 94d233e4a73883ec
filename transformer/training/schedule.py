"""Parameter groups for AdamW, their learning rates, and the learning rate schedule."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import Any

from torch import nn

from transformer.layers.embedding import TokenEmbedding
from transformer.training.config import TrainingConfig

INPUT = re.compile(r"(^|[._])(embedding|positions|token_types|convolutions)([._]|$)")
LAYER = re.compile(r"(?P<stack>.*?)\blayers\.(?P<number>\d+)\.")


def parameter_groups(model: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    """Return the parameter groups for AdamW, by embedding table, learning rate and weight decay.

    Weight decay applies to weight matrices only, not to biases, norms, positions and word vectors. Decay would move
    every word vector away from its source in every step, even if its word is not in the batch.

    The learning rate of a layer is that of the layer above times ``config.layer_decay`` (Howard & Ruder 2018,
    "discriminative fine-tuning"). Heads and all other weights outside the layers have the full rate. Embeddings, their
    projections and convolutions count as one more layer, below layer 0. ``config.table_lr`` replaces the learning rate
    of the embedding tables.
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
    return [{"params": parameters, "lr": lr, "peak_lr": lr, "weight_decay": decay}
            for (_, lr, decay), parameters in groups.items()]


def trained_tables(model: nn.Module) -> list[nn.Parameter]:
    """Return the embedding tables that are trained; a table that is shared or tied is listed once."""
    tables = {id(module.weight): module.weight for module in model.modules() if isinstance(module, TokenEmbedding)}
    return [table for table in tables.values() if table.requires_grad]


def depths_below_top(model: nn.Module) -> dict[str, int]:
    """Return the depth of each parameter, by name: the number of layers from the top, within encoder or decoder."""
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


def resolve_epochs(config: TrainingConfig, steps_per_epoch: int) -> int:
    """Return the number of epochs: the configured one, or by default that of about 1,000 steps, from 10 to 20.

    Few examples need many epochs. With many examples and 20 epochs, the dev score stops improving after half of them:
    early stopping then ends training at a high learning rate, which lowers the accuracy (``speed/LOG.md``).
    """
    return config.epochs or min(max(round(1000 / max(1, steps_per_epoch)), 10), 20)


def lr_factor(step: int, config: TrainingConfig, n_steps: int) -> float:
    """Compute the learning rate of a step as a fraction of the peak rate.

    The rate rises linearly in the first ``config.warmup`` of the steps. ``config.schedule`` then determines whether it
    decays linearly to 0, decays to 0 along half a cosine (Loshchilov & Hutter 2017), or is constant.

    Args:
        step: from 0.
        config: warm-up and schedule.
        n_steps: number of steps in the whole training.
    """
    n_warm = round(config.warmup * n_steps)
    if step < n_warm:
        return (step + 1) / n_warm
    left = max(0.0, (n_steps - step) / max(1, n_steps - n_warm))
    return {"linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2, "constant": 1.0}[config.schedule]
