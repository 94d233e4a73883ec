"""Word vectors as points of a plane, to be looked at."""

from __future__ import annotations

from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.table import EmbeddingTable
from embeddings.table.row_maps import UnitLength, Vectors

Method = Literal["pca", "tsne"]

LEAST_WORDS = 3
PERPLEXITY = 30.0  # van der Maaten & Hinton (2008) advise 5 to 50


def project(vectors: Vectors, method: Method = "tsne", *, seed: int = 1) -> NDArray[np.float32]:
    """Lay vectors out in a plane; the same vectors and seed give the same plane.

    Rows are brought to unit length first, so that near means a small angle, as it does wherever words are compared.

    Args:
        vectors: *Shape:* ``(n_words, dim)``.
        method: ``pca`` keeps the two directions of the greatest spread; ``tsne`` (van der Maaten & Hinton 2008) keeps
            neighbors together, while distances across the plane mean little.
        seed: decides what is random in ``tsne``.

    Returns:
        Coordinates, centred, the farthest of them 1 from the centre along an axis. *Shape:* ``(n_words, 2)``, float32.

    Raises:
        EmbeddingError: if there are fewer than three words, or all have the same direction.
    """
    if len(vectors) < LEAST_WORDS:
        raise EmbeddingError(f"a map needs {LEAST_WORDS} words or more, not {len(vectors)}")
    rows = UnitLength()(vectors)
    if not np.ptp(rows, axis=0).any():
        raise EmbeddingError("a map of vectors that all point the same way would be a single point")
    rows = np.pad(rows, ((0, 0), (0, max(0, 2 - rows.shape[1]))))  # a plane needs two columns
    points = _pca(rows) if method == "pca" else _tsne(rows, seed)
    points = points - points.mean(axis=0)
    placed: NDArray[np.float32] = (points / np.abs(points).max()).astype(np.float32)
    return placed


def _pca(rows: Vectors) -> NDArray[np.floating]:
    from sklearn.decomposition import PCA

    points: NDArray[np.floating] = PCA(n_components=2, svd_solver="full").fit_transform(rows.astype(np.float64))
    return points


def _tsne(rows: Vectors, seed: int) -> NDArray[np.floating]:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    points: NDArray[np.floating] = TSNE(
        n_components=2, perplexity=perplexity, init="pca", random_state=seed
    ).fit_transform(rows)
    return points


def frequent_words(table: EmbeddingTable, n: int) -> tuple[str, ...]:
    """The first ``n`` words of a table that hold a letter; tables list frequent words first."""
    return tuple(islice((word for word in table.words if any(map(str.isalpha, word))), n))
