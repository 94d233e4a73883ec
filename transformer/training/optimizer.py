"""All that one training step changes: the weights, by AdamW, and their moving average."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.adamw import adamw

from transformer.config import TrainingConfig
from transformer.layers.embedding import TokenEmbedding
from transformer.training.schedule import parameter_groups
from transformer.training.sparse_adamw import BETA1, BETA2, EPS, SparseAdamW
from transformer.training.weight_average import WeightAverage


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019), by torch's fused function, and the average of what it makes.

    Not by torch's class: making one imports torch's compiler, which takes longer than many a training.

    On a CPU, tables that are looked up and nothing else are updated row by row
    (:mod:`transformer.training.sparse_adamw`), if no other process trains them too; a table that is also the output
    layer has a gradient in every row. Until :meth:`close`, such a table's values are those of dense updates only
    behind :meth:`flush`, and while it is looked up.

    Args:
        model: whose weights are trained.
        config: rates, decay, clipping, average.
        alone: no other process trains the same model.

    Attributes:
        groups: the weights but for tables that are updated row by row, and their rates, as AdamW takes them.
        average: the moving average of all weights.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig, *, alone: bool = True) -> None:
        self._clip = config.clip
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.average = WeightAverage(model, config.ema)
        readers = looked_up_only(model) if alone and next(model.parameters()).device.type == "cpu" else {}
        self._readers = [reader for weight in self._weights.values() for reader in readers.get(weight, ())]
        groups = parameter_groups(model, config)
        rates = {weight: group["lr"] for group in groups for weight in group["params"]}
        self._rows = {name: SparseAdamW(weight, self.average.averages[name], lr=rates[weight], ema=config.ema)
                      for name, weight in self._weights.items() if weight in readers}
        self.groups = [{**group, "params": [weight for weight in group["params"] if weight not in readers]}
                       for group in groups]
        self._moments: dict[nn.Parameter, dict[str, Tensor]] = {}
        self._hooks = [reader.register_forward_pre_hook(_catching_up(rows)) for rows in self._rows.values()
                       for reader in readers[rows.weight]]
        for reader in self._readers:
            reader.sparse = True

    def set_rates(self, share: float) -> None:
        """Let every weight learn at this share of its highest rate."""
        for group in self.groups:
            group["lr"] = group["highest_lr"] * share
        for rows in self._rows.values():
            rows.lr = rows.highest_lr * share

    def clear(self) -> None:
        """Forget the gradients."""
        for weight in self._weights.values():
            weight.grad = None

    def clip(self) -> Tensor:
        """Shorten the gradient to ``training.clip``; its length before. *Shape:* scalar."""
        dense = [weight.grad for name, weight in self._weights.items()
                 if name not in self._rows and weight.grad is not None]
        gradients = [*dense, *(grad for rows in self._rows.values() if (grad := rows.gradient()) is not None)]
        if not gradients:
            return torch.zeros((), device=next(iter(self._weights.values())).device)
        norm = get_total_norm(gradients, foreach=True)
        torch._foreach_mul_(gradients, (self._clip / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def step(self) -> None:
        """Move the weights down the gradient, and the average after them."""
        for group in self.groups:
            self._move(group)
        kept = self.average.update(but=self._rows.keys())
        for rows in self._rows.values():
            rows.step(kept)

    @torch.no_grad()
    def _move(self, group: Mapping[str, Any]) -> None:
        """One step of AdamW for the weights of a group that have a gradient."""
        weights = [weight for weight in group["params"] if weight.grad is not None]
        for weight in weights:
            if weight not in self._moments:
                self._moments[weight] = {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight),
                                         "step": torch.zeros((), device=weight.device)}
        if weights:
            moments = [self._moments[weight] for weight in weights]
            adamw([*weights], [grad for weight in weights if (grad := weight.grad) is not None],
                  [one["exp_avg"] for one in moments], [one["exp_avg_sq"] for one in moments], [],
                  [one["step"] for one in moments], fused=True, amsgrad=False, beta1=BETA1, beta2=BETA2,
                  lr=group["lr"], weight_decay=group["weight_decay"], eps=EPS, maximize=False)

    def flush(self) -> None:
        """Bring every row of the tables up to date."""
        for rows in self._rows.values():
            rows.flush()

    def close(self) -> None:
        """Leave the tables to others, up to date."""
        self.flush()
        for hook in self._hooks:
            hook.remove()
        for reader in self._readers:
            reader.sparse = False

    def state(self) -> dict[str, dict[str, Tensor]]:
        """What a stopped training needs beside weights and averages, by the weight's name."""
        dense = {name: self._moments[weight] for name, weight in self._weights.items() if weight in self._moments}
        return {**dense, **{name: rows.state() for name, rows in self._rows.items()}}

    def load(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Go on from what :meth:`state` gave."""
        for name, tensors in state.items():
            if name in self._rows:
                self._rows[name].load(tensors)
            else:
                weight = self._weights[name]
                self._moments[weight] = {part: tensor.to(weight.device) for part, tensor in tensors.items()}


def looked_up_only(model: nn.Module) -> dict[nn.Parameter, list[TokenEmbedding]]:
    """The tables that nothing but word embeddings uses, and those embeddings."""
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


def _catching_up(rows: SparseAdamW) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def before_lookup(embedding: nn.Module, arguments: tuple[Any, ...]) -> None:
        if embedding.training:
            rows.flush_rows(arguments[0])

    return before_lookup
