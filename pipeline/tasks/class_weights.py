"""Weights of the labels in the training loss, so that rare labels count as much as frequent ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from embeddings.table.listing import listed
from pipeline.config import RunConfig
from pipeline.data.features.batching import IGNORED, Batch, Feature
from pipeline.data.features.packed import PackedFeatures
from pipeline.errors import ConfigError


def class_weights(config: RunConfig, gold: Iterable[str], labels: Sequence[str]) -> tuple[float, ...]:
    """Return the weight of each label for ``training.class_weights``.

    ``balanced`` is ``n / (k * n_c)`` for a label with ``n_c`` of ``n`` training examples, where ``k`` labels have
    examples (King and Zeng 2001; as in scikit-learn). A label without examples, or that a table does not name, has
    weight 1.

    Args:
        config: the configuration.
        gold: label of each training example.
        labels: labels in the order of the output layer.

    Returns:
        One weight for each label; empty for ``none``.

    Raises:
        ConfigError: if a table names a label that does not exist, or no training example has a label with a weight
            above 0.
    """
    chosen = config.training.class_weights
    if chosen == "none":
        return ()
    number = {label: i for i, label in enumerate(labels)}
    if isinstance(chosen, Mapping):
        if unknown := [label for label in chosen if label not in number]:
            raise ConfigError(f"training.class_weights: {listed(unknown, form=repr)}: no such label. The labels are "
                              f"{listed(labels, form=repr)}")
        if not any(chosen.get(label, 1.0) for label in set(gold)):
            raise ConfigError("training.class_weights: all labels of the training examples have the weight 0, so there "
                              "is nothing to learn; give at least one of them a weight above 0")
        return tuple(chosen.get(label, 1.0) for label in labels)
    counts = np.bincount([number[label] for label in gold], minlength=len(labels))
    weights = counts.sum() / ((counts > 0).sum() * np.maximum(counts, 1))
    return tuple(np.where(counts > 0, weights, 1.0).tolist())


def weighted(features: Sequence[Feature], weights: Sequence[float]) -> Sequence[Feature]:
    """Count the targets of features by the weights of their labels, over which the mean loss is taken.

    Args:
        features: features whose targets are numbers of labels, or -100.
        weights: weight of each label; empty for equal weights.
    """
    if not weights:
        return features
    by_label = np.array(weights)
    if isinstance(features, PackedFeatures):
        return replace(features, n_targets=by_label[np.asarray(features.targets)])
    return [replace(feature, n_targets=_total(feature.target, by_label)) for feature in features]


def with_label_weights(batch: Batch, weights: Sequence[float]) -> Batch:
    """Return the batch with the weights for :func:`torch.nn.functional.cross_entropy`; unchanged if there are none."""
    return replace(batch, label_weights=torch.tensor(weights, dtype=torch.float32)) if weights else batch


def _total(target: NDArray[np.int64], by_label: NDArray[np.float64]) -> float:
    numbers = np.atleast_1d(target)
    return float(by_label[numbers[numbers != IGNORED]].sum())
