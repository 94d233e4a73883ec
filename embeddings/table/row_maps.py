"""Row maps: fitted transforms as values, which are saved and applied to words that are composed later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embeddings.table.moments import Vectors, unit_rows

__all__ = ["Affine", "Clip", "RowMap", "UnitLength", "Vectors", "make_row_map"]


class RowMap(Protocol):
    """A function of rows with parameters that can be saved."""

    @property
    def kind(self) -> str:
        """Name in files."""
        ...

    def __call__(self, rows: Vectors) -> Vectors:
        """Apply the map. *Shape:* ``(n, dim_in)`` to ``(n, dim_out)``, float32."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return the scalar parameters."""
        ...

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the array parameters."""
        ...


@dataclass(frozen=True, eq=False)
class Affine:
    """``(row - offset) @ matrix``, or ``(row - offset) * matrix`` for a one-dimensional matrix.

    Attributes:
        offset: float32. *Shape:* ``(dim_in,)``.
        matrix: float32. *Shape:* ``(dim_in, dim_out)``, or ``(dim_in,)`` for one factor per column.
    """

    offset: Vectors
    matrix: Vectors
    kind = "affine"

    @classmethod
    def scale(cls, factor: float, dim: int) -> Affine:
        """Return the map that multiplies every entry by a number."""
        return cls(np.zeros(dim, np.float32), np.full(dim, factor, np.float32))

    def __call__(self, rows: Vectors) -> Vectors:
        """Apply the map. *Shape:* ``(n, dim_in)`` to ``(n, dim_out)``."""
        centred = rows - self.offset if self.offset.any() else rows
        product = centred * self.matrix if self.matrix.ndim == 1 else centred @ self.matrix
        return product.astype(np.float32, copy=False)

    def describe(self) -> dict[str, Any]:
        """Return no scalars."""
        return {}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return offset and matrix."""
        return {"offset": self.offset, "matrix": self.matrix}


@dataclass(frozen=True)
class UnitLength:
    """Divides each row by its Euclidean norm; zero rows stay zero."""

    kind = "unit"

    def __call__(self, rows: Vectors) -> Vectors:
        """Apply the map. *Shape:* ``(n, dim)`` in and out."""
        return unit_rows(rows)

    def describe(self) -> dict[str, Any]:
        """Return no scalars."""
        return {}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return no arrays."""
        return {}


@dataclass(frozen=True)
class Clip:
    """Clips entries to the interval from ``-limit`` to ``limit``."""

    limit: float
    kind = "clip"

    def __call__(self, rows: Vectors) -> Vectors:
        """Apply the map. *Shape:* ``(n, dim)`` in and out."""
        return np.clip(rows, -self.limit, self.limit).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """Return the limit."""
        return {"limit": self.limit}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return no arrays."""
        return {}


_KINDS = {cls.kind: cls for cls in (Affine, UnitLength, Clip)}


def make_row_map(kind: str, numbers: Mapping[str, Any]) -> RowMap:
    """Construct a map from its name, scalars and arrays.

    Raises:
        KeyError: if the name is unknown.
    """
    built: RowMap = _KINDS[kind](**numbers)
    return built
