"""Encoded examples, and batches of similar lengths, which keep padding low."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

POOL = 50  # batches sorted by length together: enough to reduce padding, few enough to keep the order random
IGNORED = -100  # target that the loss ignores (ignore_index of torch's cross-entropy)

Lengths = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Feature:
    """Encoded form of an example, or of one window of a long example.

    Attributes:
        ids: token ids. *Shape:* ``(length,)``, int32.
        target: target in the form that the task defines, such as a label number, one tag per token, or a number.
            int64, or float32 for numbers.
        example: index of the example among those encoded together.
        where: place of the example, for messages.
        token_types: token type of each token, if the model has token types. *Shape:* ``(length,)``, int32.
        n_targets: number of items over which the loss is averaged; the sum of their weights if labels have weights.
        origin: data with which the task maps predictions back to the text.
    """

    ids: NDArray[np.int32]
    target: NDArray[Any]
    example: int
    where: str
    token_types: NDArray[np.int32] | None = None
    n_targets: float = 1
    origin: Any = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Batch:
    """Stacked and padded features.

    Attributes:
        ids: token ids, padded with 0. *Shape:* ``(batch, length)``, int64.
        targets: targets in the form that the task defines, padded with -100, which the loss ignores. int64, or float32
            for numbers.
        n_tokens: number of tokens without padding.
        n_targets: number of items over which the loss is averaged; the sum of their weights if labels have weights.
        where: places of the examples, for messages.
        token_types: token types; None for a model without token types. *Shape:* ``(batch, length)``, int64.
        label_weights: weight of each label in the loss; None for equal weights. *Shape:* ``(n_labels,)``, float32.
    """

    ids: Tensor
    targets: Tensor
    n_tokens: int
    n_targets: float
    where: tuple[str, ...]
    token_types: Tensor | None = None
    label_weights: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return a copy on a device."""
        token_types = None if self.token_types is None else self.token_types.to(device)
        weights = None if self.label_weights is None else self.label_weights.to(device)
        return replace(self, ids=self.ids.to(device), targets=self.targets.to(device), token_types=token_types,
                       label_weights=weights)


def collate(features: Sequence[Feature]) -> Batch:
    """Stack features; pad ids and token types with 0 and targets with -100."""
    targets = [np.asarray(feature.target) for feature in features]
    return Batch(
        ids=pad([feature.ids for feature in features]),
        targets=pad_sequence([*map(torch.from_numpy, targets)], batch_first=True, padding_value=IGNORED)
        if targets[0].ndim else torch.from_numpy(np.array(targets)),
        n_tokens=sum(map(len, features)),
        n_targets=sum(feature.n_targets for feature in features),
        where=tuple(feature.where for feature in features),
        token_types=pad([types for feature in features if (types := feature.token_types) is not None])
        if features[0].token_types is not None else None,
    )


def pad(texts: Sequence[NDArray[np.int32]]) -> Tensor:
    """Stack rows of ids and pad them with 0. *Shape:* ``(batch, max(longest, 1))``, int64."""
    padded = np.zeros((len(texts), max(1, *map(len, texts))), dtype=np.int64)
    for row, ids in zip(padded, texts, strict=True):
        row[: len(ids)] = ids
    return torch.from_numpy(padded)


def by_length(lengths: Lengths, max_positions: int) -> list[NDArray[Any]]:
    """Group indices into batches in order of length, for evaluation and prediction.

    Args:
        lengths: length of each text.
        max_positions: maximum number of positions of a batch, padding included; a longer text is a separate batch.
    """
    order = np.argsort(lengths, kind="stable")
    starts: list[int] = []
    for i, longest in enumerate(np.asarray(lengths)[order].tolist()):
        if not starts or (i + 1 - starts[-1]) * longest > max_positions:
            starts.append(i)
    return [np.asarray(batch) for batch in np.split(order, starts[1:])] if starts else []


def shuffled(lengths: Lengths, batch_size: int, random: np.random.Generator) -> list[NDArray[Any]]:
    """Group indices into random batches of similar lengths; every call returns the same number of batches."""
    order = random.permutation(len(lengths))
    size = np.asarray(lengths)
    pools = _cut(order, POOL * batch_size)
    batches = [batch for pool in pools for batch in _cut(pool[np.argsort(size[pool], kind="stable")], batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


def within_budget(lengths: Lengths, tokens: int, random: np.random.Generator) -> list[NDArray[Any]]:
    """Group indices into random batches of similar lengths and about equal numbers of tokens.

    Every call returns the same number of batches.

    Args:
        lengths: number of tokens of each text.
        tokens: maximum mean number of tokens of a batch; a batch has at least one text.
        random: generator that decides the batches and their order.
    """
    if not len(lengths):
        return []
    size = np.maximum(lengths, 1)
    n_batches = min(len(size), -(-int(size.sum()) // tokens))
    pools = _cut(random.permutation(len(size)), POOL * -(-len(size) // n_batches))
    lines = [pool[np.argsort(size[pool], kind="stable")][:: 1 if i % 2 else -1] for i, pool in enumerate(pools)]
    line = np.concatenate(lines)  # neighbouring pools have similar lengths where they join
    ends = np.searchsorted(size[line].cumsum(), size.sum() * np.arange(1, n_batches) / n_batches)
    for i in range(len(ends)):  # at least one text before each end, and one for each batch after it
        ends[i] = min(max(ends[i], ends[i - 1] + 1 if i else 1), len(line) - n_batches + i + 1)
    batches = np.split(line, ends)
    return [batches[i] for i in random.permutation(len(batches))]


def _cut(indices: NDArray[Any], size: int) -> list[NDArray[Any]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]
