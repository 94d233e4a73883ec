"""From names such as ``standardize`` or ``pca:50`` to transforms, applied to a table in order and recorded in it.

A transform is a frozen dataclass under ``@transform("name")`` in a file of this folder. Its fields are its options; the
first may be written after a colon: ``pca:50`` is ``pca,dim=50``. Most are a :class:`FittedTransform`: one map for all
rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.request import VectorRequest
from embeddings.specification.grammar import OPTION, build, options, split_options, split_top_level, strip_parentheses
from embeddings.specification.plugins import Registry
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import take_rows
from embeddings.table.oov_policy import is_known
from embeddings.table.row_maps import RowMap, Vectors


class Transform(Protocol):
    """Something that is done to a table."""

    def apply(self, table: EmbeddingTable, request: VectorRequest, note: str) -> EmbeddingTable:
        """Give the transformed table.

        Args:
            table: word vectors.
            request: vocabulary with its counts, seed, and what an inner source is loaded with.
            note: recorded in the table's ``transforms``.

        Raises:
            EmbeddingError: if the table does not allow it.
        """
        ...


class FittedTransform:
    """A transform that is one map for all rows, found by looking at those that matter."""

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Find the map. *Shape of rows:* ``(n, dim)``, at least one."""
        raise TypeError(f"{type(self).__name__} has no fit")

    def apply(self, table: EmbeddingTable, request: VectorRequest, note: str) -> EmbeddingTable:
        """Fit to the rows that matter, and put every row through the map."""
        return table.transformed(self.fit(fitting_rows(table, request), request), note)


TRANSFORMS = Registry("embeddings.transforms", "transform", SpecificationError)
transform = TRANSFORMS.register


def parse_transform(text: str) -> Transform:
    """Read ``name``, ``name:VALUE`` or ``name,key=value``.

    Raises:
        SpecificationError: if the name, an option or a value is wrong; the message gives the nearest right one.
    """
    head, *pairs = split_top_level(text, OPTION)
    name, colon, value = head.partition(":")
    name = name.strip()
    cls = TRANSFORMS.find(name)
    first = next(iter(options(cls)), "")
    if colon and not first:
        raise SpecificationError(f"transform {name!r} takes no value, but was given {value.strip()!r}")
    given = ({first: strip_parentheses(value.strip())} if colon else {}) | split_options(pairs)
    made: Transform = build(f"transform {name!r}", cls, given, positional=first)
    return made


def apply_transforms(
    table: EmbeddingTable, names: Iterable[str], request: VectorRequest | None = None
) -> EmbeddingTable:
    """Apply transforms to a table, one after another.

    What a transform measures (means, directions) it measures on the words of the request's vocabulary: the rare words,
    of which a file may hold many, have other vectors. Rows without a vector (``missing``) are left out of it and stay
    zero; words composed later go through the same maps.

    Args:
        table: word vectors.
        names: such as ``("center", "all-but-the-top:2", "unit")``.
        request: whose vocabulary, counts and seed count; by default all words count alike.

    Returns:
        A new table; its ``transforms`` tell what was done.

    Raises:
        SpecificationError: for a name or value that is wrong.
        EmbeddingError: if the table does not allow it (no row; fewer columns than asked for).
    """
    request = request or VectorRequest()
    for name, one in [(name, parse_transform(name)) for name in names]:
        if not len(table):
            raise EmbeddingError(f"{table.source}: no vector to fit the transform {name!r} to")
        table = one.apply(table, request, name)
    return table


def fitting_rows(table: EmbeddingTable, request: VectorRequest) -> Vectors:
    """Rows of the vocabulary's words that the source knows; all that it knows, if there are none of those."""
    known = np.array([is_known(why) for why in table.provenance], dtype=bool)
    if not known.any():  # a random table has no word that it knows, and may be transformed all the same
        known[:] = True
    if request.vocabulary is not None:
        common = known & np.array([word in request.vocabulary for word in table.words], dtype=bool)
        known = common if common.any() else known
    return take_rows(table.vectors, np.flatnonzero(known))
