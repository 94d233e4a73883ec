"""How a word that a table does not list gets a vector: from character n-grams, through whatever was done to the table.

A composer is a small tree of values, saved with its table: the vectors of n-grams or of a checkpoint's tokens at the
leaves, concatenation, averages and row maps above them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embeddings.table.ngram_hashes import ngram_buckets
from embeddings.table.row_maps import RowMap, Vectors, make_row_map
from embeddings.table.subword_composer import SubwordVectors


class Composer(Protocol):
    """Gives vectors to words outside a table."""

    def compose(self, word: str) -> Vectors | None:
        """The word's vector, or None if there is nothing to compose it from. *Shape:* ``(dim,)``, float32."""
        ...

    def describe(self) -> dict[str, Any]:
        """What is needed, beside the arrays, to make it again: readable JSON."""
        ...

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Its arrays by name."""
        ...


@dataclass(frozen=True, eq=False)
class NgramVectors:
    """Hashed character n-grams (Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information").

    Attributes:
        vectors: float32. *Shape:* ``(n_buckets, dim)``.
        min_n: shortest n-gram, in characters; the word's own ``<`` and ``>`` count.
        max_n: longest n-gram.
    """

    vectors: Vectors
    min_n: int
    max_n: int

    def compose(self, word: str) -> Vectors | None:
        """The mean of the word's n-gram vectors; None for a word too short to have any."""
        if self.max_n < 1 or not len(self.vectors):
            return None
        buckets = ngram_buckets([word], self.min_n, self.max_n, len(self.vectors))[0]
        if not buckets:
            return None
        mean: Vectors = self.vectors[buckets].mean(axis=0)
        return mean

    def describe(self) -> dict[str, Any]:
        """The lengths of the n-grams."""
        return {"kind": "ngrams", "min_n": self.min_n, "max_n": self.max_n}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The n-gram vectors."""
        return {"vectors": self.vectors}


@dataclass(frozen=True, eq=False)
class Concatenated:
    """Composers side by side; where one has nothing, its columns are zero.

    Attributes:
        parts: a composer and the width of its columns, left to right; None for a part that composes nothing.
    """

    parts: tuple[tuple[Composer | None, int], ...]

    def compose(self, word: str) -> Vectors | None:
        """The parts' vectors one after another; None if no part has one."""
        found = [part.compose(word) if part else None for part, _ in self.parts]
        if all(row is None for row in found):
            return None
        row: Vectors = np.concatenate([
            np.zeros(width, np.float32) if row is None else row
            for row, (_, width) in zip(found, self.parts, strict=True)
        ])
        return row

    def describe(self) -> dict[str, Any]:
        """The parts, and their widths."""
        return {"kind": "concatenated", "widths": [width for _, width in self.parts],
                "parts": [part.describe() if part else None for part, _ in self.parts]}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Those of the parts."""
        return _prefixed([part for part, _ in self.parts])


@dataclass(frozen=True, eq=False)
class Averaged:
    """The mean of what the parts compose; a part that has nothing does not count."""

    parts: tuple[Composer, ...]

    def compose(self, word: str) -> Vectors | None:
        """The mean; None if no part has a vector."""
        found = [row for part in self.parts if (row := part.compose(word)) is not None]
        if not found:
            return None
        mean: Vectors = np.mean(found, axis=0, dtype=np.float32)
        return mean

    def describe(self) -> dict[str, Any]:
        """The parts."""
        return {"kind": "averaged", "parts": [part.describe() for part in self.parts]}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Those of the parts."""
        return _prefixed(self.parts)


@dataclass(frozen=True, eq=False)
class Transformed:
    """What another composer gives, put through the maps that its table went through."""

    inner: Composer
    maps: tuple[RowMap, ...]

    def compose(self, word: str) -> Vectors | None:
        """The inner vector, mapped."""
        row = self.inner.compose(word)
        if row is None:
            return None
        rows = row[None]
        for one in self.maps:
            rows = one(rows)
        last: Vectors = rows[0]
        return last

    def describe(self) -> dict[str, Any]:
        """The inner composer and the maps."""
        return {"kind": "mapped", "inner": self.inner.describe(),
                "maps": [{"kind": one.kind, **one.describe()} for one in self.maps]}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Those of the inner composer and of the maps."""
        of_maps = {f"map{i}.{name}": array for i, one in enumerate(self.maps) for name, array in one.tensors().items()}
        return {f"inner.{name}": array for name, array in self.inner.tensors().items()} | of_maps


def transformed(composer: Composer | None, one: RowMap) -> Composer | None:
    """Put one more map behind a composer, if there is one."""
    if composer is None:
        return None
    if isinstance(composer, Transformed):
        return Transformed(composer.inner, (*composer.maps, one))
    return Transformed(composer, (one,))


def read_composer(described: Mapping[str, Any] | None, tensors: Mapping[str, NDArray[Any]]) -> Composer | None:
    """Make a composer again from what ``describe`` and ``tensors`` gave.

    Raises:
        KeyError: if something is missing or of an unknown kind.
    """
    if described is None:
        return None
    kind = described["kind"]
    if kind == "ngrams":
        return NgramVectors(tensors["vectors"], min_n=described["min_n"], max_n=described["max_n"])
    if kind == "subwords":
        return SubwordVectors.read(described, tensors["vectors"])
    if kind == "mapped":
        inner = read_composer(described["inner"], _below(tensors, "inner."))
        assert inner is not None
        maps = [make_row_map(one["kind"], {key: value for key, value in one.items() if key != "kind"}
                        | _below(tensors, f"map{i}.")) for i, one in enumerate(described["maps"])]
        return Transformed(inner, tuple(maps))
    parts = [read_composer(part, _below(tensors, f"part{i}.")) for i, part in enumerate(described["parts"])]
    if kind == "averaged":
        return Averaged(tuple(part for part in parts if part is not None))
    if kind == "concatenated":
        return Concatenated(tuple(zip(parts, described["widths"], strict=True)))
    raise KeyError(f"unknown kind of composer {kind!r}")


def _prefixed(parts: Sequence[Composer | None]) -> dict[str, NDArray[Any]]:
    return {f"part{i}.{name}": array for i, part in enumerate(parts) if part for name, array in part.tensors().items()}


def _below(tensors: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
