"""Composers: vectors of out-of-vocabulary words from character n-grams or subwords, with the table's transforms.

A composer is a tree that is saved with its table: vectors of n-grams or of a checkpoint's tokens at the leaves,
concatenations, averages and row maps above them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embeddings.table.ngram_hashes import ngram_buckets
from embeddings.table.pooling import Composed, compose_from_rows
from embeddings.table.row_maps import RowMap, Vectors, make_row_map
from embeddings.table.subword_composer import SubwordVectors

MAX_NGRAM = 1000  # characters; more could only be damage, and would take memory


class Composer(Protocol):
    """Composes vectors of words that a table does not list."""

    def compose(self, words: Sequence[str]) -> Composed:
        """Return the vectors of words, and which of them can be composed."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return a JSON description from which, with the arrays, the composer can be constructed."""
        ...

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        ...


@dataclass(frozen=True, eq=False)
class NgramVectors:
    """Hashed character n-grams (Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information").

    Attributes:
        vectors: float32. *Shape:* ``(n_buckets, dim)``.
        min_n: shortest n-gram, in characters, with the ``<`` and ``>`` around the word.
        max_n: longest n-gram.
    """

    vectors: Vectors
    min_n: int
    max_n: int

    def compose(self, words: Sequence[str]) -> Composed:
        """Return the mean of the n-gram vectors of each word; a word without n-grams has none."""
        return compose_from_rows(words, self._buckets, self.vectors, "mean")

    def _buckets(self, words: Sequence[str]) -> list[NDArray[np.int64]]:
        if self.max_n < 1 or not len(self.vectors):
            return [np.zeros(0, np.int64)] * len(words)
        buckets = ngram_buckets(words, self.min_n, self.max_n, len(self.vectors))
        return [np.array(one, np.int64) for one in buckets]

    def describe(self) -> dict[str, Any]:
        """Return the lengths of the n-grams."""
        return {"kind": "ngrams", "min_n": self.min_n, "max_n": self.max_n}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the n-gram vectors."""
        return {"vectors": self.vectors}


@dataclass(frozen=True, eq=False)
class Concatenated:
    """Concatenates composers; columns of a part without a vector are zero.

    Attributes:
        parts: composer and number of columns of each part, left to right; None for a part without a composer.
    """

    parts: tuple[tuple[Composer | None, int], ...]

    def compose(self, words: Sequence[str]) -> Composed:
        """Return the concatenated vectors of the parts; a word of which no part has a vector has none."""
        made = [part.compose(words) if part else _nothing(len(words), width) for part, width in self.parts]
        return Composed(np.concatenate([one.vectors for one in made], axis=1),
                        np.any([one.found for one in made], axis=0))

    def describe(self) -> dict[str, Any]:
        """Return the parts and their dimensions."""
        return {"kind": "concatenated", "widths": [width for _, width in self.parts],
                "parts": [part.describe() if part else None for part, _ in self.parts]}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the parts."""
        return _prefixed([part for part, _ in self.parts])


@dataclass(frozen=True, eq=False)
class Averaged:
    """Averages the vectors of the parts that have one."""

    parts: tuple[Composer, ...]

    def compose(self, words: Sequence[str]) -> Composed:
        """Return the means over the parts that have a vector; a word of which no part has one has none."""
        made = [part.compose(words) for part in self.parts]
        n_found = np.sum([one.found for one in made], axis=0)[:, None]                        # (n_words, 1)
        sums = np.sum([one.vectors for one in made], axis=0, dtype=np.float64)                # (n_words, dim)
        return Composed((sums / np.maximum(n_found, 1)).astype(np.float32), n_found[:, 0] > 0)

    def describe(self) -> dict[str, Any]:
        """Return the parts."""
        return {"kind": "averaged", "parts": [part.describe() for part in self.parts]}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the parts."""
        return _prefixed(self.parts)


@dataclass(frozen=True, eq=False)
class Transformed:
    """Applies the row maps of a table to the vectors of another composer."""

    inner: Composer
    maps: tuple[RowMap, ...]

    def compose(self, words: Sequence[str]) -> Composed:
        """Return the transformed vectors of the inner composer."""
        inner = self.inner.compose(words)
        rows = inner.vectors[inner.found]                                                     # (n_found, dim)
        for row_map in self.maps:
            rows = row_map(rows)
        made = np.zeros((len(words), rows.shape[1]), np.float32)
        made[inner.found] = rows
        return Composed(made, inner.found)

    def describe(self) -> dict[str, Any]:
        """Return the inner composer and the maps."""
        return {"kind": "mapped", "inner": self.inner.describe(),
                "maps": [{"kind": one.kind, **one.describe()} for one in self.maps]}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the inner composer and of the maps."""
        of_maps = {f"map{i}.{name}": array for i, one in enumerate(self.maps) for name, array in one.tensors().items()}
        return {f"inner.{name}": array for name, array in self.inner.tensors().items()} | of_maps


def transformed(composer: Composer | None, row_map: RowMap) -> Composer | None:
    """Append a row map to a composer, if there is one."""
    if composer is None:
        return None
    if isinstance(composer, Transformed):
        return Transformed(composer.inner, (*composer.maps, row_map))
    return Transformed(composer, (row_map,))


def read_composer(described: Mapping[str, Any] | None, tensors: Mapping[str, NDArray[Any]]) -> Composer | None:
    """Construct a composer from the results of ``describe`` and ``tensors``.

    Raises:
        KeyError: if something is missing, or the kind is unknown.
        ValueError: if the n-grams have an invalid length.
    """
    if described is None:
        return None
    kind = described["kind"]
    if kind == "ngrams":
        if not all(type(described[key]) is int and 0 <= described[key] <= MAX_NGRAM for key in ("min_n", "max_n")):
            raise ValueError(f"min_n and max_n must be numbers from 0 to {MAX_NGRAM}")
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


def _nothing(n_words: int, dim: int) -> Composed:
    return Composed(np.zeros((n_words, dim), np.float32), np.zeros(n_words, np.bool_))


def _prefixed(parts: Sequence[Composer | None]) -> dict[str, NDArray[Any]]:
    return {f"part{i}.{name}": array for i, part in enumerate(parts) if part for name, array in part.tensors().items()}


def _below(tensors: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
