"""What compiled code needs of a Transformer layer: its hyperparameters and its weights in a fixed order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from transformer.layers.transformer_layer import PostNormLayer, TransformerLayer

FEEDFORWARD_INNER = 12
"""Index of the weight of the feed-forward block's first linear layer in :func:`weights_of`."""


class LayerSpec(NamedTuple):
    """Hyperparameters that all layers of a stack share.

    Attributes:
        n_heads: number of attention heads.
        eps: epsilon of every norm.
        post: norms follow the residual sums (post-norm) instead of preceding the branches.
    """

    n_heads: int
    eps: float
    post: bool


def spec_of(layer: TransformerLayer) -> LayerSpec:
    """Return the hyperparameters of a layer."""
    return LayerSpec(layer.attention.n_heads, layer.attention_norm.eps, isinstance(layer, PostNormLayer))


def unfit_weight(layer: TransformerLayer) -> str:
    """Name a weight that compiled code cannot read: not float32, not contiguous, or not on the CPU; "" if all fit."""
    for weight in weights_of(layer):
        if weight.dtype != torch.float32 or weight.device.type != "cpu" or not weight.is_contiguous():
            return f"a weight of shape {tuple(weight.shape)} is not a contiguous float32 tensor on the CPU"
    return ""


def weights_of(layer: TransformerLayer) -> list[Tensor]:
    """Return weight and bias of the two norms, of query, key, value and attention output, and of the feed-forward."""
    attention, feedforward = layer.attention, layer.feedforward
    modules = (layer.attention_norm, layer.feedforward_norm, attention.query, attention.key, attention.value,
               attention.output, feedforward.inner, feedforward.output)
    return [weight for module in modules for weight in (module.weight, module.bias)]
