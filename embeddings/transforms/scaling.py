"""Transforms of location and scale: center, standardize, unit length, clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from embeddings.errors import EmbeddingError
from embeddings.request import VectorRequest
from embeddings.specification.transforms import FittedTransform, transform
from embeddings.table.moments import mean
from embeddings.table.row_maps import Affine, Clip, RowMap, UnitLength, Vectors


@transform("center")
@dataclass(frozen=True)
class Center(FittedTransform):
    """Subtracts the mean vector from every row."""

    example: ClassVar[str] = "center"

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Compute the mean."""
        return Affine(mean(rows, axis=0).astype(np.float32, copy=False), np.ones(rows.shape[1], np.float32))


@transform("standardize")
@dataclass(frozen=True)
class Standardize(FittedTransform):
    """Scales the entries to mean 0 and a given standard deviation, over the whole table or by column."""

    example: ClassVar[str] = "standardize:columns,to=xavier"

    by: Annotated[Literal["whole", "columns"], Field(description=(
        "whole: one mean and standard deviation for all entries; columns: one for each column"))] = "whole"
    to: Annotated[Literal["unit", "xavier"] | Annotated[float, Field(gt=0)], Field(description=(
        "standard deviation: unit (1), xavier (Glorot & Bengio 2010 for a table of this shape) or a number, such as "
        "0.1"))] = "unit"

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Compute mean and standard deviation; constant columns are only centred."""
        axis = 0 if self.by == "columns" else None
        dim = rows.shape[1]
        center = np.broadcast_to(rows.mean(axis=axis, dtype=np.float64), dim)
        deviation = np.broadcast_to(rows.std(axis=axis, dtype=np.float64), dim)
        if not deviation.any():
            raise EmbeddingError("standardize: all entries are equal, so the standard deviation is 0; leave this "
                                 "transform out")
        factor = self.target(len(rows), dim) / np.where(deviation > 0, deviation, 1)
        if factor.max() > np.finfo(np.float32).max:
            raise EmbeddingError(f"standardize: the standard deviation {deviation[deviation > 0].min():.0e} is too "
                                 "small to divide by; scale the vectors first, for instance with unit")
        return Affine(center.astype(np.float32), factor.astype(np.float32))

    def target(self, n_rows: int, dim: int) -> float:
        """Return the requested standard deviation for a table of ``n_rows`` rows and ``dim`` columns."""
        if self.to == "unit":
            return 1.0
        return float((2 / (n_rows + dim)) ** 0.5) if self.to == "xavier" else float(self.to)


@transform("unit")
@dataclass(frozen=True)
class Unit(FittedTransform):
    """Divides each row by its Euclidean norm."""

    example: ClassVar[str] = "unit"

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Return the map, which has no statistics."""
        return UnitLength()


@transform("clip")
@dataclass(frozen=True)
class ClipEntries(FittedTransform):
    """Clips every entry to the interval from -limit to limit."""

    example: ClassVar[str] = "clip:3"

    limit: Annotated[float, Field(gt=0, description="largest absolute value of an entry, such as 3")]

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Return the map, which has no statistics."""
        return Clip(self.limit)
