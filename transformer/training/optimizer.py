"""The optimizer: AdamW, gradient clipping and the moving average of the weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.adamw import adamw

from transformer.layers.embedding import TokenEmbedding
from transformer.training.config import TrainingConfig
from transformer.training.distributed import World
from transformer.training.schedule import parameter_groups
from transformer.training.sparse_adamw import BETA1, BETA2, EPS, SparseAdamW
from transformer.training.weight_average import WeightAverage


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019) and the moving average of the weights.

    Calls PyTorch's fused function, not its class: creating an instance of ``torch.optim.AdamW`` imports PyTorch's
    compiler, which takes longer than a short training run.

    On a CPU, embedding tables that are only used for lookup have sparse updates
    (:mod:`transformer.training.sparse_adamw`). A table that is also the output layer has a gradient in every row, and
    dense updates. Until :meth:`close`, a table with sparse updates is only up to date after :meth:`flush`; rows are
    brought up to date when they are looked up.

    Args:
        model: the model to train.
        config: learning rates, weight decay, clipping, moving average.

    Attributes:
        groups: parameter groups of the weights with dense updates, as AdamW takes them.
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
        self.groups = [{**group, "params": [weight for weight in group["params"] if weight not in lookups]}
                       for group in groups]
        self._moments: dict[nn.Parameter, dict[str, Tensor]] = {}
        self._hooks = [module.register_forward_pre_hook(_flush_before_lookup(table)) for table in self._sparse.values()
                       for module in lookups[table.weight]]
        for module in self._embeddings:
            module.sparse = True

    def set_lr(self, factor: float) -> None:
        """Set every learning rate to this fraction of its peak."""
        for group in self.groups:
            group["lr"] = group["peak_lr"] * factor
        for table in self._sparse.values():
            table.lr = table.peak_lr * factor

    def zero_grad(self) -> None:
        """Set the gradients to None."""
        for weight in self._weights.values():
            weight.grad = None

    def sum_gradients(self, world: World, loss: Tensor) -> Tensor:
        """Sum the gradients (in place) and the losses over all processes; return the sum of the losses, a scalar."""
        for table in self._sparse.values():
            table.sum_gradients(world)
        return world.sum_gradients([weight for name, weight in self._weights.items()
                                    if weight.requires_grad and name not in self._sparse], loss)

    def clip(self) -> Tensor:
        """Clip the gradient to the norm ``training.clip``, and return its norm before. *Shape:* scalar."""
        dense = [weight.grad for name, weight in self._weights.items()
                 if name not in self._sparse and weight.grad is not None]
        gradients = [*dense, *(grad for table in self._sparse.values() if (grad := table.gradient()) is not None)]
        if not gradients:
            return torch.zeros((), device=next(iter(self._weights.values())).device)
        norm = get_total_norm(gradients, foreach=True)
        torch._foreach_mul_(gradients, (self._clip / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def step(self) -> None:
        """Update the weights, and then their moving average."""
        for group in self.groups:
            self._update(group)
        decay = self.average.update(exclude=self._sparse.keys())
        for table in self._sparse.values():
            table.step(decay)

    @torch.no_grad()
    def _update(self, group: Mapping[str, Any]) -> None:
        """Make one AdamW step for the weights of a group that have a gradient."""
        weights = [weight for weight in group["params"] if weight.grad is not None]
        for weight in weights:
            if weight not in self._moments:
                self._moments[weight] = {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight),
                                         "step": torch.zeros((), device=weight.device)}
        if weights:
            moments = [self._moments[weight] for weight in weights]
            adamw([*weights], [grad for weight in weights if (grad := weight.grad) is not None],
                  [each["exp_avg"] for each in moments], [each["exp_avg_sq"] for each in moments], [],
                  [each["step"] for each in moments], fused=True, amsgrad=False, beta1=BETA1, beta2=BETA2,
                  lr=group["lr"], weight_decay=group["weight_decay"], eps=EPS, maximize=False)

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
        dense = {name: self._moments[weight] for name, weight in self._weights.items() if weight in self._moments}
        return {**dense, **{name: table.state() for name, table in self._sparse.items()}}

    def load(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Restore the state from :meth:`state`."""
        for name, tensors in state.items():
            if name in self._sparse:
                self._sparse[name].load(tensors)
            else:
                weight = self._weights[name]
                self._moments[weight] = {key: tensor.to(weight.device) for key, tensor in tensors.items()}


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
