"""The optimizer and its schedule."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from transformer.config import TrainingConfig
from transformer.embedding import WordEmbedding


def make_optimizer(model: nn.Module, config: TrainingConfig) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019) with decay on weight matrices only.

    Biases, layer norms and word vectors are left out: a decayed word vector forgets its source a little at every step,
    whether its word was met or not.
    """
    tables = {id(module.weight) for module in model.modules() if isinstance(module, WordEmbedding)}
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim >= 2 and id(p) not in tables]
    others = [p for p in trained if p.ndim < 2 or id(p) in tables]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return AdamW(groups, lr=config.lr)


def make_schedule(optimizer: AdamW, config: TrainingConfig, n_steps: int) -> LambdaLR:
    """Linear warm-up to ``config.lr`` over the first share of the steps, then linear decay to 0."""
    n_warm = round(config.warmup * n_steps)

    def share(step: int) -> float:
        if step < n_warm:
            return (step + 1) / n_warm
        return max(0.0, (n_steps - step) / max(1, n_steps - n_warm))

    return LambdaLR(optimizer, share)
