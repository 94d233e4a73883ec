"""Transforms that turn the space: all-but-the-top, PCA, random projection, alignment to other vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge

from embeddings.errors import EmbeddingError
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.specification.fingerprint import files_behind
from embeddings.specification.transforms import FittedTransform, transform
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import is_known
from embeddings.table.row_maps import Affine, RowMap, Vectors

MIN_SHARED = 2  # words that two tables must share to be aligned; fewer leave the rotation open


@transform("all-but-the-top")
@dataclass(frozen=True)
class AllButTheTop(FittedTransform):
    """Takes away the mean and the top principal directions (Mu & Viswanath 2018, arXiv 1702.01417).

    Attributes:
        directions: how many; by default a hundredth of the width, at least one.
    """

    directions: Annotated[int, Ge(1)] | None = None

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Find the directions."""
        dim = rows.shape[1]
        n_top = max(1, round(dim / 100)) if self.directions is None else self.directions
        mean, top = principal_directions(rows, n_top, "all-but-the-top")        # (dim,), (n_top, dim)
        return Affine(mean, np.eye(dim, dtype=np.float32) - top.T @ top)


@transform("pca")
@dataclass(frozen=True)
class Pca(FittedTransform):
    """Keeps the principal components: the directions in which the vectors vary most, centred, not whitened.

    Attributes:
        dim: how many.
    """

    dim: Annotated[int, Ge(1)]

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Find the directions."""
        mean, top = principal_directions(rows, self.dim, "pca")
        return Affine(mean, np.ascontiguousarray(top.T))


@transform("project")
@dataclass(frozen=True)
class Project(FittedTransform):
    """Changes the width by a random orthogonal projection, which keeps lengths (on average, when it narrows).

    Attributes:
        dim: the new width.
    """

    dim: Annotated[int, Ge(1)]

    def fit(self, rows: Vectors, request: VectorRequest) -> RowMap:
        """Draw the projection, decided by the seed."""
        return Affine(np.zeros(rows.shape[1], np.float32), orthogonal(rows.shape[1], self.dim, request.seed))


@transform("align")
@dataclass(frozen=True)
class Align:
    """Rotates onto other vectors of the same width, over the words that both know.

    Orthogonal Procrustes (Schönemann 1966).

    Attributes:
        source: the specification of the other vectors; in parentheses if it has options of its own.
    """

    source: str

    def __post_init__(self) -> None:
        sources.parse(self.source)

    def files(self) -> Iterator[Path]:
        """Those of the other source."""
        return files_behind(sources.parse(self.source))

    def apply(self, table: EmbeddingTable, request: VectorRequest, note: str) -> EmbeddingTable:
        """Load the others' vectors of this table's words, and rotate."""
        from scipy.linalg import orthogonal_procrustes

        ours = table.where(map(is_known, table.provenance))
        asked = replace(request, vocabulary=dict.fromkeys(ours.words, 1), extra_words=frozenset(), n_frequent=0)
        theirs = sources.load(self.source, asked)
        if theirs.dim != table.dim:
            narrow = min(table.dim, theirs.dim)
            raise EmbeddingError(f"align: {table.source} is {table.dim} wide and {self.source} {theirs.dim}; bring the "
                                 f"wider to the other's width first, for instance with the transform pca:{narrow}")
        shared = [word for word in ours.words if word in theirs]
        if len(shared) < MIN_SHARED:
            raise EmbeddingError(f"align: {table.source} and {self.source} share {len(shared)} words; at least "
                                 f"{MIN_SHARED} are needed")
        rotation, _ = orthogonal_procrustes(ours.lookup(shared).vectors.astype(np.float64),
                                            theirs.lookup(shared).vectors.astype(np.float64))
        return table.transformed(Affine(np.zeros(table.dim, np.float32), rotation.astype(np.float32)), note)


def principal_directions(rows: Vectors, n: int, what: str) -> tuple[Vectors, Vectors]:
    """The mean of rows, and the directions in which they vary most.

    Args:
        rows: *Shape:* ``(n_rows, dim)``.
        n: how many directions.
        what: is asking, for the message.

    Returns:
        Mean and unit directions, float32. *Shapes:* ``(dim,)``, ``(n, dim)``.

    Raises:
        EmbeddingError: if there are fewer rows or columns than directions.
    """
    from sklearn.decomposition import PCA

    if len(rows) < 2:
        raise EmbeddingError(f"{what}: one known word alone does not vary in any direction; give more words")
    if n > min(rows.shape):
        raise EmbeddingError(f"{what}: {n} directions asked for, but there are {len(rows)} known words of width "
                             f"{rows.shape[1]}; ask for at most {min(rows.shape)}")
    pca = PCA(n, svd_solver="covariance_eigh").fit(rows.astype(np.float64))
    return pca.mean_.astype(np.float32), pca.components_.astype(np.float32)


def orthogonal(dim_in: int, dim_out: int, seed: int) -> Vectors:
    """A random matrix with orthonormal rows or columns, whichever are fewer, scaled so that lengths are kept.

    Returns:
        float32. *Shape:* ``(dim_in, dim_out)``.
    """
    wide, narrow = max(dim_in, dim_out), min(dim_in, dim_out)
    drawn = np.random.default_rng(seed).standard_normal((wide, narrow))
    basis, upper = np.linalg.qr(drawn)
    basis = basis * np.sign(np.diag(upper))  # uniform over all such matrices (Mezzadri 2007)
    matrix = basis if dim_in >= dim_out else basis.T
    kept = (dim_in / dim_out) ** 0.5 if dim_in > dim_out else 1.0
    return np.ascontiguousarray(kept * matrix, dtype=np.float32)
