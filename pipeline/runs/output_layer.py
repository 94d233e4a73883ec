"""The output layer, fitted to the features of the texts before training.

A random output layer changes a pretrained encoder in the first steps, which costs accuracy outside the training texts
(Kumar et al. 2022, "Fine-Tuning Can Distort Pretrained Features").
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.data.features.batching import Feature, collate
from pipeline.errors import ConfigError
from pipeline.tasks.inference import outputs
from pipeline.tasks.resolved import Setup

log = logging.getLogger("vecformer")

C = 10.0  # inverse strength of the regularisation, for features of length 1; chosen on dev of ag_news with 32 labels


def fit_output_layer(setup: Setup[Any], model: nn.Module, features: Sequence[Feature]) -> None:
    """Set the output layer to a logistic regression on its inputs, if ``contrastive.head_first`` asks for it.

    Args:
        setup: configuration of the run.
        model: a model whose head has a linear layer ``output``, changed in place.
        features: features of the training examples, with the number of the label as target.

    Raises:
        ConfigError: if the task has no labels of single texts.
    """
    if not setup.config.contrastive.head_first:
        return
    from sklearn.linear_model import LogisticRegression

    layer = getattr(getattr(model, "head", None), "output", None)
    if not isinstance(layer, nn.Linear) or any(np.ndim(feature.target) for feature in features):
        raise ConfigError(f"contrastive.head_first=true: the task {setup.config.task!r} does not have one label for "
                          "each text; set contrastive.head_first=false")
    inputs = np.stack([row.numpy() for row in _inputs_of(layer, model, features)])          # (n, width)
    labels = np.array([int(feature.target) for feature in features])
    scale = float(np.linalg.norm(inputs, axis=1).mean()) or 1.0
    fitted = LogisticRegression(C=C, max_iter=1000).fit(inputs / scale, labels)
    weight, bias = fitted.coef_ / scale, fitted.intercept_
    if len(weight) == 1:  # scikit-learn has one row for two labels
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    with torch.no_grad():
        layer.weight[fitted.classes_] = torch.from_numpy(weight).to(layer.weight)
        layer.bias[fitted.classes_] = torch.from_numpy(bias).to(layer.bias)
    log.info("the output layer is fitted to %d texts: %.1f%% of their labels are correct", len(labels),
             100 * fitted.score(inputs / scale, labels))


def _inputs_of(layer: nn.Linear, model: nn.Module, features: Sequence[Feature]) -> list[Tensor]:
    """Compute the inputs of a layer of the model for each feature. *Shape* of each: ``(width,)``."""
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _layer, args: seen.append(args[0].detach().float()))
    try:
        return outputs(model, features, collate, lambda batch: (model(batch.ids, batch.token_types), seen.pop())[1])
    finally:
        hook.remove()
