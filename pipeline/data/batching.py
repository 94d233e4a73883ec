"""Batches of texts of about the same length, so that little padding is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

POOL = 50  # batches that are sorted by length together: enough to save padding, few enough to keep the order random


@dataclass(frozen=True)
class Batch:
    """Texts as the model takes them.

    Attributes:
        ids: 0 is padding. *Shape:* ``(batch, longest)``, int64.
        targets: what is to be predicted, in the task's own form.
        n_tokens: real tokens, padding not counted.
    """

    ids: Tensor
    targets: Tensor
    n_tokens: int

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(self.ids.to(device), self.targets.to(device), self.n_tokens)


def pad(texts: Sequence[NDArray[np.int32]]) -> Tensor:
    """Stack texts of ids, the shorter ones filled up with 0. *Shape:* ``(batch, longest or 1)``, int64."""
    tensors = [torch.from_numpy(ids.astype(np.int64)) for ids in texts]
    padded: Tensor = pad_sequence(tensors, batch_first=True)
    return padded if padded.shape[1] else torch.zeros(len(texts), 1, dtype=torch.long)


def by_length(lengths: Sequence[int], batch_size: int) -> list[NDArray[Any]]:
    """Indices in batches, the shortest first; for measuring and predicting."""
    return _cut(np.argsort(lengths, kind="stable"), batch_size)


def shuffled(lengths: Sequence[int], batch_size: int, random: np.random.Generator) -> list[NDArray[Any]]:
    """Indices in random batches of similar lengths; equally many batches at every call."""
    order = random.permutation(len(lengths))
    size = np.asarray(lengths)
    pools = _cut(order, POOL * batch_size)
    batches = [batch for pool in pools for batch in _cut(pool[np.argsort(size[pool], kind="stable")], batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


def _cut(indices: NDArray[Any], size: int) -> list[NDArray[Any]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]
