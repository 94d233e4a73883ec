"""Parsing of transforms such as ``standardize`` or ``pca:50``, and their application to a table.

A transform is a frozen dataclass under ``@transform("name")`` in a file of :mod:`embeddings.transforms`, or of another
package (entry point ``vecformer.transforms``). Its fields are its options; the first may be written after a colon:
``pca:50`` is ``pca,dim=50``. Most are a :class:`FittedTransform`: one map for all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.request import VectorRequest, with_files
from embeddings.specification.grammar import (
    OPTION,
    build,
    options,
    split_options,
    split_top_level,
    strip_parentheses,
    written_specification,
)
from embeddings.specification.plugins import Registry
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import take_rows
from embeddings.table.oov_policy import is_known
from embeddings.table.row_maps import RowMap, Vectors

T = TypeVar("T", bound=type)


class Transform(Protocol):
    """A transformation of an embedding table."""

    def apply(self, table: EmbeddingTable, request: VectorRequest, note: str) -> EmbeddingTable:
        """Return the transformed table.

        Args:
            table: word vectors.
            request: vocabulary with its counts, the seed, and the options for loading other sources.
            note: recorded in the table's ``transforms``.

        Raises:
            EmbeddingError: if the transform cannot be applied to this table.
        """
        ...

    def files(self) -> Iterable[Path]:
        """Return the files and folders that decide the result; by default the paths among the options."""
        ...


class FittedTransform:
    """A transform that fits one map and applies it to every row."""

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Fit the map. *Shape of rows:* ``(n, dim)``, at least one row."""
        raise TypeError(f"{type(self).__name__} does not implement fit")

    def apply(self, table: EmbeddingTable, request: VectorRequest, note: str) -> EmbeddingTable:
        """Fit the map to the rows of the vocabulary, and apply it to all rows."""
        return table.transformed(self.fit(fitting_rows(table, request), request), note)


TRANSFORMS = Registry("embeddings.transforms", "transform", SpecificationError, "vecformer.transforms")


def transform(name: str) -> Callable[[T], T]:
    """Decorate a dataclass to register it as a transform."""
    return lambda cls: TRANSFORMS.register(name)(with_files(cls))


def parse_transform(text: str) -> Transform:
    """Parse ``name``, ``name:VALUE`` or ``name,key=value``.

    Raises:
        SpecificationError: if the name, an option or a value is wrong; the message suggests the most similar one.
    """
    head, *pairs = split_top_level(text, OPTION)
    name, colon, value = head.partition(":")
    name = name.strip()
    cls = TRANSFORMS.find(name)
    first = next(iter(options(cls)), "")
    if colon and not first:
        raise SpecificationError(f"transform {name!r} takes no value, but was given {value.strip()!r}")
    given = ({first: strip_parentheses(value.strip())} if colon else {}) | split_options(pairs)
    built: Transform = build(f"transform {name!r}", cls, given, positional=first)
    return built


def apply_transforms(
    table: EmbeddingTable, names: Iterable[str], request: VectorRequest | None = None
) -> EmbeddingTable:
    """Apply transforms to a table, in order.

    Statistics (means, directions) are computed over the words of the request's vocabulary, because the many rare words
    of a file have a different distribution. Rows without a vector (``missing``) are excluded and stay zero; the maps
    are also applied to words that are composed later.

    Args:
        table: word vectors.
        names: specifications such as ``("center", "all-but-the-top:2", "unit")``.
        request: supplies the vocabulary, its counts and the seed; by default all words count equally.

    Returns:
        A new table; its ``transforms`` record what was applied.

    Raises:
        SpecificationError: if a name or value is invalid.
        EmbeddingError: if a transform cannot be applied (an empty table; fewer columns than requested).
    """
    request = request or VectorRequest()
    for name, parsed in [(name, parse_transform(name)) for name in map(written_specification, names)]:
        if not len(table):
            raise EmbeddingError(f"{table.source}: the table is empty; the transform {name!r} cannot be fitted")
        table = parsed.apply(table, request, name)
    return table


def fitting_rows(table: EmbeddingTable, request: VectorRequest) -> Vectors:
    """Return the rows that transforms are fitted to: known words of the vocabulary, or all known words if none is."""
    known = np.array([is_known(why) for why in table.provenance], dtype=bool)
    if not known.any():  # a random table has no known word, and can be transformed as well
        known[:] = True
    if request.vocabulary is not None:
        common = known & np.array([word in request.vocabulary for word in table.words], dtype=bool)
        known = common if common.any() else known
    return take_rows(table.vectors, np.flatnonzero(known))
