"""Apply a model to features in batches of similar lengths, without training it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from pipeline.data.features.batching import Batch, Feature, by_length
from pipeline.data.features.packed import lengths_of
from transformer.kernels.precision import low_dtype
from transformer.kernels.waiting import brief_on_a_busy_machine
from transformer.layers.embedding import projected_once

MAX_POSITIONS = 4096        # positions of a batch, padding included: fits the caches of a CPU and fills a GPU
MIN_WATCHED = 8             # batches from which it is worth the while to watch the machine
MAX_POSITIONS_INT8 = 16_384  # in int8, where each text is computed separately and padding costs nothing

Collate = Callable[[Sequence[Feature]], Batch]
T = TypeVar("T")


def outputs(
    model: nn.Module, features: Sequence[Feature], collate: Collate, forward: Callable[[Batch], Tensor], *,
    progress: Progress = silent,
) -> list[Tensor]:
    """Compute the output of a model for each feature.

    Args:
        model: a model; it is set to evaluation mode.
        features: the features.
        collate: makes a batch of features.
        forward: computes the output of a batch, which is on the model's device. Its first dimension is the batch.
        progress: progress callback.

    Returns:
        One float32 tensor on the CPU for each feature, including the padding of its batch.
    """
    return reduced_outputs(model, features, collate, forward, lambda _rows, output: output.unbind(), progress=progress)


def reduced_outputs(
    model: nn.Module, features: Sequence[Feature], collate: Collate, forward: Callable[[Batch], Tensor],
    reduce: Callable[[list[int], Tensor], Iterable[T]], *, progress: Progress = silent,
) -> list[T]:
    """Compute the output of a model batch by batch, and keep only what ``reduce`` makes of it.

    With many outputs per text, such as 10,000 labels, the outputs of all texts may not fit in memory.

    Args:
        model: as for :func:`outputs`.
        features: as for :func:`outputs`.
        collate: as for :func:`outputs`.
        forward: as for :func:`outputs`.
        reduce: makes one result for each feature of a batch from the indices of the features and the output, which is
            float32 and on the CPU.
        progress: progress callback.

    Returns:
        One result for each feature.
    """
    model.eval()
    device = next(model.parameters()).device
    made: list[T] = []
    max_positions = MAX_POSITIONS_INT8 if low_dtype(device) == torch.int8 else MAX_POSITIONS
    lengths = lengths_of(features)
    batches = by_length(lengths, max_positions)
    waiting = brief_on_a_busy_machine() if len(batches) >= MIN_WATCHED else nullcontext()
    with torch.inference_mode(), projected_once(model, int(lengths.sum())), waiting:
        for number, rows in enumerate(batches, start=1):
            output = forward(collate([features[i] for i in rows]).to(device)).float().cpu()
            made.extend(reduce(rows.tolist(), output))
            progress("predicting", number / len(batches))
    return [made[i] for i in np.concatenate(batches).argsort()] if batches else []


def mean_loss(
    model: nn.Module, features: Sequence[Feature], collate: Collate, loss: Callable[[Any, Batch], Tensor]
) -> float:
    """Compute the mean loss over all targets of the features, in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    total, n_targets = 0.0, 0.0
    with torch.inference_mode():
        for rows in by_length(lengths_of(features), MAX_POSITIONS):
            batch = collate([features[i] for i in rows]).to(device)
            total += float(loss(model, batch)) * batch.n_targets
            n_targets += batch.n_targets
    return total / max(1, n_targets)
