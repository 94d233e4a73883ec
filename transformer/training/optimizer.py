"""The optimizer: AdamW, gradient clipping and the moving average of the weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from transformer.layers.embedding import TokenEmbedding
from transformer.training.config import TrainingConfig
from transformer.training.dense_adamw import DenseAdamW, clip_gradients
from transformer.training.distributed import World
from transformer.training.schedule import parameter_groups
from transformer.training.sparse_adamw import SparseAdamW
from transformer.training.weight_average import WeightAverage


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019) and the moving average of the weights.

    On a CPU, embedding tables that are only used for lookup have sparse updates
    (:mod:`transformer.training.sparse_adamw`). A table that is also the output layer has a gradient in every row, and
    dense updates. Until :meth:`close`, a table with sparse updates is only up to date after :meth:`flush`; rows are
    brought up to date when they are looked up.

    Args:
        model: the model to train.
        config: learning rates, weight decay, clipping, moving average.

    Attributes:
        average: moving average of all trained weights.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self._clip = config.clip
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.average = WeightAverage(model, config.ema)
        lookups = lookup_tables(model) if next(model.parameters()).device.type == "cpu" else {}
        self._embeddings = [module for weight in self._weights.values() for module in lookups.get(weight, ())]
        groups = parameter_groups(model, config)
        rates = {weight: group["lr"] for group in groups for weight in group["params"]}
        self._sparse = {name: SparseAdamW(weight, self.average.averages[name], lr=rates[weight], ema=config.ema)
                        for name, weight in self._weights.items() if weight in lookups}
        self._dense = DenseAdamW(
            [{**group, "params": [weight for weight in group["params"] if weight not in lookups]} for group in groups],
            {weight: self.average.averages[name] for name, weight in self._weights.items()})
        self._hooks = [module.register_forward_pre_hook(_flush_before_lookup(table)) for table in self._sparse.values()
                       for module in lookups[table.weight]]
        for module in self._embeddings:
            module.sparse = True

    def set_lr(self, factor: float) -> None:
        """Set every learning rate to this fraction of its peak."""
        self._dense.lr_factor = factor
        for table in self._sparse.values():
            table.lr = table.peak_lr * factor

    def zero_grad(self) -> None:
        """Set the gradients to None."""
        for weight in self._weights.values():
            weight.grad = None

    def average_gradients(self, world: World, loss: Tensor, numbers: Sequence[float]) -> tuple[Tensor, list[float]]:
        """Average gradients and losses over all processes; as :meth:`World.average_gradients`."""
        dense = [weight for weight in self._dense.weights if weight.requires_grad]
        tables = [table.weight for table in self._sparse.values() if table.weight.requires_grad]
        averages = world.average_gradients(dense, tables, loss, numbers)
        for table in self._sparse.values():
            if world.size > 1 and table.weight.grad is not None:
                table.flush_rows(table.weight.grad.indices()[0])  # those that other processes have looked up
        return averages

    def clip(self) -> Tensor:
        """Clip the gradient to the norm ``training.clip``, and return its norm before. *Shape:* scalar."""
        gradients = [grad for weight in self._dense.weights if (grad := weight.grad) is not None]
        gradients += [grad for table in self._sparse.values() if (grad := table.gradient()) is not None]
        if not gradients:
            return torch.zeros((), device=next(iter(self._weights.values())).device)
        return clip_gradients(gradients, self._clip)

    def step(self) -> None:
        """Update the weights and their moving average."""
        decay = self.average.advance()
        self._dense.step(decay)
        for table in self._sparse.values():
            table.step(decay)

    def flush(self) -> None:
        """Apply all deferred updates of the embedding tables."""
        for table in self._sparse.values():
            table.flush()

    def close(self) -> None:
        """Apply all deferred updates, and switch the embedding layers back to dense gradients."""
        self.flush()
        for hook in self._hooks:
            hook.remove()
        for module in self._embeddings:
            module.sparse = False

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Return the state for a checkpoint by parameter name, without weights and averages."""
        states = self._dense.state()
        dense = {name: states[weight] for name, weight in self._weights.items() if weight in states}
        return {**dense, **{name: table.state() for name, table in self._sparse.items()}}

    def load(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Restore the state from :meth:`state`."""
        self._dense.load({self._weights[name]: each for name, each in state.items() if name not in self._sparse})
        for name, table in self._sparse.items():
            if name in state:
                table.load(state[name])


def lookup_tables(model: nn.Module) -> dict[nn.Parameter, list[TokenEmbedding]]:
    """Return the tables that are used by embedding layers only, each with its layers."""
    users = defaultdict(list)
    for module in model.modules():
        for weight in module.parameters(recurse=False):
            users[weight].append(module)
    output = getattr(model, "output_table", None)
    tables = {}
    for weight, modules in users.items():
        embeddings = [module for module in modules if isinstance(module, TokenEmbedding) and module is not output]
        if len(embeddings) == len(modules):
            tables[weight] = embeddings
    return tables


def _flush_before_lookup(table: SparseAdamW) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    """Make a forward pre-hook that applies the deferred updates of the rows of a lookup."""
    def hook(embedding: nn.Module, args: tuple[Any, ...]) -> None:
        if embedding.training:
            table.flush_rows(args[0])

    return hook
