"""Examples as numbers, and batches of them of about the same length, so that little padding is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

POOL = 50  # batches that are sorted by length together: enough to save padding, few enough to keep the order random
IGNORED = -100  # a target that counts for nothing; what torch's cross-entropy leaves out


@dataclass(frozen=True)
class Feature:
    """What the model reads of an example, made once; a long example may give several.

    Attributes:
        ids: word numbers. *Shape:* ``(length,)``, int32.
        target: what is to be predicted, in the task's own form: a number, a row of them.
        example: the number of the example among those that were encoded together.
        where: the example's place, for messages.
        token_types: token type of each token, if the model has token types. *Shape:* ``(length,)``, int32.
        n_targets: how many of the loss's items it holds.
        origin: what the task needs to get from a prediction back to the text.
    """

    ids: NDArray[np.int32]
    target: NDArray[np.int64]
    example: int
    where: str
    token_types: NDArray[np.int32] | None = None
    n_targets: int = 1
    origin: Any = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Batch:
    """Features as the model takes them.

    Attributes:
        ids: 0 is padding. *Shape:* ``(batch, longest)``, int64.
        targets: what is to be predicted, in the task's own form; padded with -100, which the loss leaves out.
        n_tokens: real tokens, padding not counted.
        n_targets: items that the loss is a mean over.
        where: the places of the examples, for messages.
        token_types: token type of each token; None for a model without token types. *Shape:* as ``ids``.
    """

    ids: Tensor
    targets: Tensor
    n_tokens: int
    n_targets: int
    where: tuple[str, ...]
    token_types: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        token_types = None if self.token_types is None else self.token_types.to(device)
        return replace(self, ids=self.ids.to(device), targets=self.targets.to(device), token_types=token_types)


def collate(features: Sequence[Feature]) -> Batch:
    """Stack features, the shorter ones filled up: ids and token types with 0, targets with -100."""
    ids = pad([feature.ids for feature in features])
    targets = [torch.from_numpy(np.asarray(feature.target)) for feature in features]
    return Batch(
        ids=ids,
        targets=pad_sequence(targets, batch_first=True, padding_value=IGNORED) if targets[0].ndim else
        torch.stack(targets),
        n_tokens=sum(map(len, features)),
        n_targets=sum(feature.n_targets for feature in features),
        where=tuple(feature.where for feature in features),
        token_types=pad([s for feature in features if (s := feature.token_types) is not None])
        if features[0].token_types is not None else None,
    )


def pad(texts: Sequence[NDArray[np.int32]]) -> Tensor:
    """Stack texts of ids, the shorter ones filled up with 0. *Shape:* ``(batch, longest or 1)``, int64."""
    tensors = [torch.from_numpy(ids.astype(np.int64)) for ids in texts]
    padded: Tensor = pad_sequence(tensors, batch_first=True)
    return padded if padded.shape[1] else torch.zeros(len(texts), 1, dtype=torch.long)


def by_length(lengths: Sequence[int], places: int) -> list[NDArray[Any]]:
    """Indices in batches, the shortest first; for measuring and predicting.

    Args:
        lengths: of each text.
        places: of a batch, padding included, at most; a text that is longer is a batch of its own.
    """
    order = np.argsort(lengths, kind="stable")
    starts: list[int] = []
    for i, longest in enumerate(np.asarray(lengths)[order].tolist()):
        if not starts or (i + 1 - starts[-1]) * longest > places:
            starts.append(i)
    return [np.asarray(batch) for batch in np.split(order, starts[1:])] if starts else []


def shuffled(lengths: Sequence[int], batch_size: int, random: np.random.Generator) -> list[NDArray[Any]]:
    """Indices in random batches of similar lengths; equally many batches at every call."""
    order = random.permutation(len(lengths))
    size = np.asarray(lengths)
    pools = _cut(order, POOL * batch_size)
    batches = [batch for pool in pools for batch in _cut(pool[np.argsort(size[pool], kind="stable")], batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


def within_budget(lengths: Sequence[int], tokens: int, random: np.random.Generator) -> list[NDArray[Any]]:
    """Indices in random batches of similar lengths and about this many tokens; equally many batches at every call.

    Args:
        lengths: tokens of each text.
        tokens: in a batch, on average at most; a batch holds one text at least.
        random: decides what comes together, and in which order.
    """
    if not len(lengths):
        return []
    size = np.maximum(lengths, 1)
    n_batches = min(len(size), -(-int(size.sum()) // tokens))
    pools = _cut(random.permutation(len(size)), POOL * -(-len(size) // n_batches))
    lines = [pool[np.argsort(size[pool], kind="stable")][:: 1 if i % 2 else -1] for i, pool in enumerate(pools)]
    line = np.concatenate(lines)  # pools meet where lengths are alike
    ends = np.searchsorted(size[line].cumsum(), size.sum() * np.arange(1, n_batches) / n_batches)
    for i in range(len(ends)):  # at least one text before each end, and one for each batch behind it
        ends[i] = min(max(ends[i], ends[i - 1] + 1 if i else 1), len(line) - n_batches + i + 1)
    batches = np.split(line, ends)
    return [batches[i] for i in random.permutation(len(batches))]


def _cut(indices: NDArray[Any], size: int) -> list[NDArray[Any]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]
