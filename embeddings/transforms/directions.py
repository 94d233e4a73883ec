"""Linear transforms: all-but-the-top, PCA, random projection, alignment to other vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from embeddings.errors import EmbeddingError
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.specification.transforms import FittedTransform, transform
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import is_known
from embeddings.table.row_maps import Affine, RowMap, Vectors

MIN_SHARED = 2  # words that two tables must share to be aligned; fewer do not determine the rotation


@transform("all-but-the-top")
@dataclass(frozen=True)
class AllButTheTop(FittedTransform):
    """Removes the mean and the top principal components (Mu & Viswanath 2018, arXiv 1702.01417)."""

    example: ClassVar[str] = "all-but-the-top:2"

    directions: Annotated[int | None, Field(ge=1, description=(
        "number of components to remove, such as 2; default: dimension / 100, at least 1"))] = None

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Compute the components."""
        dim = rows.shape[1]
        n_top = max(1, round(dim / 100)) if self.directions is None else self.directions
        mean, top = principal_directions(rows, n_top, "all-but-the-top")        # (dim,), (n_top, dim)
        return Affine(mean, np.eye(dim, dtype=np.float32) - top.T @ top)


@transform("pca")
@dataclass(frozen=True)
class Pca(FittedTransform):
    """Reduces the dimension to the top principal components; centred, not whitened."""

    example: ClassVar[str] = "pca:50"

    dim: Annotated[int, Field(ge=1, description="number of components, the new dimension, such as 50")]

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Compute the components."""
        mean, top = principal_directions(rows, self.dim, "pca")
        return Affine(mean, np.ascontiguousarray(top.T))


@transform("project")
@dataclass(frozen=True)
class Project(FittedTransform):
    """Changes the dimension by a random orthogonal projection, which preserves norms (on average, if it reduces)."""

    example: ClassVar[str] = "project:100"

    dim: Annotated[int, Field(ge=1, description="new dimension, such as 100")]

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Draw the projection; the seed determines it."""
        return Affine(np.zeros(rows.shape[1], np.float32), orthogonal(rows.shape[1], self.dim, request.seed))


@transform("align")
@dataclass(frozen=True)
class Align:
    """Rotates the vectors onto those of another source of the same dimension.

    The rotation minimises the squared distances of the shared words (orthogonal Procrustes, Schönemann 1966).
    """

    example: ClassVar[str] = "align:(glove:vectors.txt,limit=50000)"

    source: Annotated[str, Field(description="specification of the other source; in parentheses if it has options")]

    def __post_init__(self) -> None:
        sources.parse(self.source)

    def files(self) -> Iterable[Path]:
        """Return the files of the other source."""
        return sources.parse(self.source).files()

    def apply(self, table: EmbeddingTable, request: VectorRequest, note: str) -> EmbeddingTable:
        """Load the other source's vectors of this table's words, and rotate."""
        from scipy.linalg import orthogonal_procrustes

        ours = table.where(map(is_known, table.provenance))
        their_request = replace(request, vocabulary=dict.fromkeys(ours.words, 1), extra_words=frozenset(), n_frequent=0)
        theirs = sources.load(self.source, their_request)
        if theirs.dim != table.dim:
            narrow = min(table.dim, theirs.dim)
            raise EmbeddingError(f"align: {table.source} has dimension {table.dim}, but {self.source} {theirs.dim}; "
                                 f"reduce the larger one first, for instance with the transform pca:{narrow}")
        shared = [word for word in ours.words if word in theirs]
        if len(shared) < MIN_SHARED:
            raise EmbeddingError(f"align: {table.source} and {self.source} share {len(shared)} words, but at "
                                 f"least {MIN_SHARED} are needed; use another source")
        rotation, _ = orthogonal_procrustes(ours.lookup(shared).vectors.astype(np.float64),
                                            theirs.lookup(shared).vectors.astype(np.float64))
        return table.transformed(Affine(np.zeros(table.dim, np.float32), rotation.astype(np.float32)), note)


def principal_directions(rows: Vectors, n: int, what: str) -> tuple[Vectors, Vectors]:
    """Compute the mean and the top principal components.

    Args:
        rows: *Shape:* ``(n_rows, dim)``.
        n: number of components.
        what: name of the transform, for error messages.

    Returns:
        Mean and components of unit norm, float32. *Shapes:* ``(dim,)``, ``(n, dim)``.

    Raises:
        EmbeddingError: if there are fewer rows or columns than components.
    """
    from sklearn.decomposition import PCA

    if len(rows) < 2:
        raise EmbeddingError(f"{what}: needs at least two known words, found {len(rows)}; use more text or "
                             "another source")
    if n > min(rows.shape):
        raise EmbeddingError(f"{what}: {n} components requested, but there are {len(rows)} known words of dimension "
                             f"{rows.shape[1]}; request at most {min(rows.shape)}")
    with np.errstate(invalid="ignore"):  # shares of a variance of 0
        pca = PCA(n, svd_solver="covariance_eigh").fit(rows.astype(np.float64))
    return pca.mean_.astype(np.float32), pca.components_.astype(np.float32)


def orthogonal(dim_in: int, dim_out: int, seed: int) -> Vectors:
    """Draw a random matrix with orthonormal rows or columns, whichever are fewer, scaled to preserve norms.

    Returns:
        float32. *Shape:* ``(dim_in, dim_out)``.
    """
    wide, narrow = max(dim_in, dim_out), min(dim_in, dim_out)
    drawn = np.random.default_rng(seed).standard_normal((wide, narrow))
    basis, upper = np.linalg.qr(drawn)
    basis = basis * np.sign(np.diag(upper))  # uniform over all such matrices (Mezzadri 2007)
    matrix = basis if dim_in >= dim_out else basis.T
    scale = (dim_in / dim_out) ** 0.5 if dim_in > dim_out else 1.0
    return np.ascontiguousarray(scale * matrix, dtype=np.float32)
