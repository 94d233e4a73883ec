"""Running a model over features without training it: in batches of about the same length, in their order again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from pipeline.data.features.batching import Batch, Feature, by_length
from transformer.kernels.precision import low_dtype
from transformer.layers.embedding import projected_once

PREDICT_PLACES = 4096  # of a batch, padding included: what fits a processor's caches, and fills a GPU well enough
IN_INT8 = 16_384       # where each text goes through the layers by itself, and only as long as there are others

Collate = Callable[[Sequence[Feature]], Batch]


def outputs(
    model: nn.Module, features: Sequence[Feature], collate: Collate, forward: Callable[[Batch], Tensor], *,
    progress: Progress = silent,
) -> list[Tensor]:
    """What the model says of each feature.

    Args:
        model: put into evaluation mode.
        features: what to read.
        collate: features to a batch.
        forward: a batch, on the model's device, to an output whose first dimension is the batch's.
        progress: told the share of the features that is done.

    Returns:
        float32 on the CPU, an entry a feature; a batch's padding is still in it.
    """
    model.eval()
    device = next(model.parameters()).device
    made: list[Tensor] = []
    n_places = IN_INT8 if low_dtype(device) == torch.int8 else PREDICT_PLACES
    batches = by_length([len(feature) for feature in features], n_places)
    with torch.inference_mode(), projected_once(model, sum(map(len, features))):
        for number, rows in enumerate(batches, start=1):
            made.extend(forward(collate([features[i] for i in rows]).to(device)).float().cpu().unbind())
            progress("predicting", number / len(batches))
    return [made[i] for i in np.concatenate(batches).argsort()] if batches else []


def mean_loss(
    model: nn.Module, features: Sequence[Feature], collate: Collate, loss: Callable[[nn.Module, Batch], Tensor]
) -> float:
    """The loss over all targets of the features, as training would see it but without dropout."""
    model.eval()
    device = next(model.parameters()).device
    total, n_targets = 0.0, 0
    with torch.inference_mode():
        for rows in by_length([len(feature) for feature in features], PREDICT_PLACES):
            batch = collate([features[i] for i in rows]).to(device)
            total += float(loss(model, batch)) * batch.n_targets
            n_targets += batch.n_targets
    return total / max(1, n_targets)
