"""The features of many texts in a few arrays, which take a third of the memory of an object for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from embeddings.tokenization.arrays import GrowingArray
from pipeline.data.features.batching import Feature

EncodedText = tuple[NDArray[np.int32], NDArray[np.int32] | None]
"""Token ids and token types of one text. *Shape* of both: ``(length,)``."""

Targets = NDArray[Any] | Sequence[NDArray[Any]]
"""Target of each text. *Shape* of an array: ``(n,)`` or ``(n, n_outputs)``."""


@dataclass(frozen=True, eq=False)
class PackedFeatures(Sequence[Feature]):
    """A sequence of features, one for each text, that are made when they are read.

    Attributes:
        ids: token ids of all texts, one after the other. *Shape:* ``(n_tokens,)``, int32.
        bounds: position of the first token of each text, and the number of tokens. *Shape:* ``(n + 1,)``, int64.
        targets: target of each text, in an array or a list. int64 or float32.
        places: place of each text, for messages.
        token_types: as ``ids``, if the model has token types.
        n_targets: what each target counts in the mean loss; None for 1. *Shape:* ``(n,)``, float64.
    """

    ids: NDArray[np.int32]
    bounds: NDArray[np.int64]
    targets: Targets
    places: Sequence[str]
    token_types: NDArray[np.int32] | None = None
    n_targets: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, batches: Iterable[Sequence[EncodedText]], targets: Targets, places: Sequence[str]) -> PackedFeatures:
        """Join the texts of all batches; ``targets`` and ``places`` have one entry for each text."""
        ids, types, lengths = GrowingArray(np.int32), GrowingArray(np.int32), GrowingArray(np.int64)
        has_types = False
        for batch in batches:
            ids.append(np.concatenate([row for row, _ in batch]))
            lengths.append(np.array([len(row) for row, _ in batch], dtype=np.int64))
            if of_batch := [its_types for _, its_types in batch if its_types is not None]:
                types.append(np.concatenate(of_batch))
                has_types = True
        return cls(ids.finished(), np.concatenate([[0], lengths.finished().cumsum()]), targets, places,
                   types.finished() if has_types else None)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each text. *Shape:* ``(n,)``, int64."""
        return np.diff(self.bounds)

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Feature: ...

    @overload
    def __getitem__(self, index: slice) -> list[Feature]: ...

    def __getitem__(self, index: int | slice) -> Feature | list[Feature]:
        """Make a feature, or a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        i = range(len(self))[index]
        of_text = slice(self.bounds[i], self.bounds[i + 1])
        return Feature(
            self.ids[of_text], self.targets[i], i, self.places[i],
            None if self.token_types is None else self.token_types[of_text],
            1 if self.n_targets is None else float(self.n_targets[i]),
        )


def lengths_of(features: Sequence[Feature]) -> NDArray[np.int64]:
    """Return the number of tokens of each feature. *Shape:* ``(n,)``, int64."""
    if isinstance(features, PackedFeatures):
        return features.lengths
    return np.array([len(feature) for feature in features], dtype=np.int64)
