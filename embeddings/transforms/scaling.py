"""Transforms that move and stretch: center, standardize, unit length, clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt

from embeddings.errors import EmbeddingError
from embeddings.request import VectorRequest
from embeddings.specification.transforms import FittedTransform, transform
from embeddings.table.row_maps import Affine, Clip, RowMap, UnitLength, Vectors


@transform("center")
@dataclass(frozen=True)
class Center(FittedTransform):
    """Takes the mean vector away from every row."""

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Measure the mean."""
        return Affine(rows.mean(axis=0), np.ones(rows.shape[1], np.float32))


@transform("standardize")
@dataclass(frozen=True)
class Standardize(FittedTransform):
    """Brings the entries to mean 0 and a spread (standard deviation), all together or column by column.

    Attributes:
        by: ``whole`` (one mean and spread for all entries) or ``columns``.
        to: the spread: ``unit`` (1), ``xavier`` (that of Glorot & Bengio's initialisation of such a table) or a number.
    """

    by: Literal["whole", "columns"] = "whole"
    to: Literal["unit", "xavier"] | Annotated[float, Gt(0)] = "unit"

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Measure mean and spread; a column that does not vary keeps its (zero) spread."""
        axis = 0 if self.by == "columns" else None
        dim = rows.shape[1]
        mean = np.broadcast_to(rows.mean(axis=axis, dtype=np.float64), dim)
        spread = np.broadcast_to(rows.std(axis=axis, dtype=np.float64), dim)
        if not spread.any():
            raise EmbeddingError("standardize: the vectors are all the same and have no spread to bring to another")
        factor = self.wanted(len(rows), dim) / np.where(spread > 0, spread, 1)
        return Affine(mean.astype(np.float32), factor.astype(np.float32))

    def wanted(self, n_rows: int, dim: int) -> float:
        """The spread that is asked for, in numbers."""
        if self.to == "unit":
            return 1.0
        return float((2 / (n_rows + dim)) ** 0.5) if self.to == "xavier" else float(self.to)


@transform("unit")
@dataclass(frozen=True)
class Unit(FittedTransform):
    """Divides each row by its Euclidean length."""

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Nothing to measure."""
        return UnitLength()


@transform("clip")
@dataclass(frozen=True)
class ClipEntries(FittedTransform):
    """Brings entries beyond ``limit`` either way back to it.

    Attributes:
        limit: the largest entry that is left alone.
    """

    limit: Annotated[float, Gt(0)]

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Nothing to measure."""
        return Clip(self.limit)
