"""What a fitted transform does to vectors, row by row: kept as a value, so that words met later go the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class RowMap(Protocol):
    """A function of a row, with numbers of its own that are saved and read again."""

    @property
    def kind(self) -> str:
        """Its name in files."""
        ...

    def __call__(self, rows: Vectors) -> Vectors:
        """Map rows. *Shape:* ``(n, dim_in)`` to ``(n, dim_out)``, float32."""
        ...

    def describe(self) -> dict[str, Any]:
        """Its plain numbers."""
        ...

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Its arrays."""
        ...


@dataclass(frozen=True, eq=False)
class Affine:
    """``(row - offset) @ matrix``, or ``(row - offset) * matrix`` where the matrix has one axis.

    Attributes:
        offset: float32. *Shape:* ``(dim_in,)``.
        matrix: float32. *Shape:* ``(dim_in, dim_out)``, or ``(dim_in,)`` for a factor a column.
    """

    offset: Vectors
    matrix: Vectors
    kind = "affine"

    @classmethod
    def scale(cls, factor: float, dim: int) -> Affine:
        """Multiply everything by a number."""
        return cls(np.zeros(dim, np.float32), np.full(dim, factor, np.float32))

    def __call__(self, rows: Vectors) -> Vectors:
        """Map rows. *Shape:* ``(n, dim_in)`` to ``(n, dim_out)``."""
        centred = rows - self.offset if self.offset.any() else rows
        mapped = centred * self.matrix if self.matrix.ndim == 1 else centred @ self.matrix
        return mapped.astype(np.float32, copy=False)

    def describe(self) -> dict[str, Any]:
        """Nothing beside the arrays."""
        return {}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Offset and matrix."""
        return {"offset": self.offset, "matrix": self.matrix}


@dataclass(frozen=True)
class UnitLength:
    """Each row divided by its Euclidean length; a row of zeros stays."""

    kind = "unit"

    def __call__(self, rows: Vectors) -> Vectors:
        """Map rows. *Shape:* ``(n, dim)`` in and out."""
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(length > 0, length, 1)).astype(np.float32, copy=False)

    def describe(self) -> dict[str, Any]:
        """It has no numbers."""
        return {}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """It has no arrays."""
        return {}


@dataclass(frozen=True)
class Clip:
    """Entries beyond ``limit`` either way are brought back to it."""

    limit: float
    kind = "clip"

    def __call__(self, rows: Vectors) -> Vectors:
        """Map rows. *Shape:* ``(n, dim)`` in and out."""
        return np.clip(rows, -self.limit, self.limit).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """The limit."""
        return {"limit": self.limit}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """It has no arrays."""
        return {}


_KINDS = {cls.kind: cls for cls in (Affine, UnitLength, Clip)}


def make_row_map(kind: str, numbers: Mapping[str, Any]) -> RowMap:
    """Make a map again from its name, its plain numbers and its arrays.

    Raises:
        KeyError: if there is no map of that name.
    """
    made: RowMap = _KINDS[kind](**numbers)
    return made
