"""What a method of a vocabulary transplant is, and the registry of all methods.

A method is a frozen dataclass under ``@method("name")`` in a file of :mod:`embeddings.transplant.methods`, or of
another package (entry point ``vecformer.transplant_methods``). Its fields are its options: ``omp,k=32``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from embeddings.errors import SpecificationError
from embeddings.specification.grammar import OPTION, build, split_options, split_top_level
from embeddings.specification.plugins import Registry
from embeddings.table.row_maps import Vectors
from embeddings.transplant.vocabulary import Ids, Vocabulary

T = TypeVar("T", bound=type)

BLOCK = 2**22  # similarities computed at a time


class Mixture(NamedTuple):
    """Rows of the new table as linear combinations of rows of the old one.

    Attributes:
        rows: rows of the new table. *Shape:* ``(n_rows,)``.
        weights: weights of the old rows; None for the mean of all old rows. *Shape:* ``(n_rows, n_old)``.
    """

    rows: Ids
    weights: csr_array | None


@dataclass(frozen=True, eq=False)
class Problem:
    """A transplant to compute.

    Attributes:
        old: vocabulary of the checkpoint.
        new: the new vocabulary.
        shared: for each new token its row in the old table, or -1. *Shape:* ``(n_new,)``.
        rows: rows of the new table to compute: ordinary tokens that are not shared. *Shape:* ``(n_rows,)``.
    """

    old: Vocabulary
    new: Vocabulary
    shared: Ids
    rows: Ids

    def anchors(self) -> Ids:
        """Return the new rows of the shared tokens that have a static vector, int64."""
        rows = self.new.with_vectors()
        return rows[self.shared[rows] >= 0]

    def targets(self) -> Ids:
        """Return those of ``rows`` that have a static vector, int64."""
        return np.intersect1d(self.rows, self.new.with_vectors())


class Method(Protocol):
    """A method that computes the rows of new tokens.

    Attributes:
        needs: the vocabularies whose static vectors it needs: ``new``, and ``old``.
    """

    needs: ClassVar[tuple[str, ...]]

    def mixtures(self, problem: Problem) -> Iterable[Mixture]:
        """Yield the weights of the rows that the method can compute, in blocks."""
        ...


METHODS = Registry("embeddings.transplant.methods", "method of a transplant", SpecificationError,
                   "vecformer.transplant_methods")


def method(name: str) -> Callable[[T], T]:
    """Decorate a dataclass to register it as a method."""
    return METHODS.register(name)


def parse_method(text: str) -> Method:
    """Parse ``name`` or ``name,key=value``.

    Raises:
        SpecificationError: if the name, an option or a value is wrong; the message suggests the most similar one.
    """
    name, *pairs = split_top_level(text, OPTION)
    found: Method = build(f"method {name!r}", METHODS.find(name), split_options(pairs), positional="")
    return found


def unit(vectors: Vectors) -> NDArray[np.float64]:
    """Divide vectors by their norm; vectors of zeros are unchanged. *Shape:* ``(n, dim)``, float64."""
    exact = vectors.astype(np.float64)
    scale = np.abs(exact).max(axis=1, keepdims=True, initial=0)  # so that squares neither overflow nor vanish
    exact /= np.where(scale > 0, scale, 1)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    return exact / np.where(norms > 0, norms, 1)


def blocks(rows: Ids, width: int) -> Iterator[Ids]:
    """Divide rows into blocks of at most ``BLOCK`` numbers, if each row has ``width`` of them."""
    step = max(1, BLOCK // max(1, width))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def sparse(weights: NDArray[np.float64], columns: Ids, n_columns: int) -> csr_array:
    """Return a sparse matrix with the positive and negative entries of a dense one.

    Args:
        weights: *Shape:* ``(n_rows, n)``.
        columns: column of each entry, for all rows or for each one. *Shape:* ``(n,)`` or ``(n_rows, n)``.
        n_columns: number of columns of the result.

    Returns:
        float32; entries of the same column are added. *Shape:* ``(n_rows, n_columns)``.
    """
    row, place = np.nonzero(weights)
    column = np.broadcast_to(columns, weights.shape)[row, place]
    return csr_array((weights[row, place].astype(np.float32), (row, column)), shape=(len(weights), n_columns))
