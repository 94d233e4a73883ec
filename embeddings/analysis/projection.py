"""Projection of word vectors to two dimensions."""

from __future__ import annotations

from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.table import EmbeddingTable
from embeddings.table.moments import Vectors, unit_rows

Method = Literal["pca", "tsne"]

MIN_WORDS = 3
MIN_RANGE = 1e-5   # of the components of unit vectors; smaller differences are those of rounding
PERPLEXITY = 30.0  # van der Maaten & Hinton (2008) recommend 5 to 50


def project(vectors: Vectors, method: Method = "tsne", *, seed: int = 1) -> NDArray[np.float32]:
    """Project vectors to two dimensions; reproducible with the same seed.

    Rows are scaled to unit norm first, so that distances correspond to cosine similarities.

    Args:
        vectors: *Shape:* ``(n_words, dim)``.
        method: ``pca`` keeps the two directions of greatest variance; ``tsne`` (van der Maaten & Hinton 2008) preserves
            neighbourhoods, but not large distances.
        seed: random seed of ``tsne``.

    Returns:
        Centred coordinates with maximum absolute value 1. *Shape:* ``(n_words, 2)``, float32.

    Raises:
        EmbeddingError: if there are fewer than three words, or all vectors have the same direction.
    """
    if len(vectors) < MIN_WORDS:
        raise EmbeddingError(f"a map needs at least {MIN_WORDS} words, not {len(vectors)}; name more words")
    rows = unit_rows(vectors)
    if not np.isfinite(rows).all():  # t-SNE would crash the process
        raise EmbeddingError("a vector is not finite, so there is no map; read the vectors again")
    if np.ptp(rows, axis=0).max() < MIN_RANGE:  # t-SNE divides by the standard deviation of the first component
        raise EmbeddingError("all vectors have the same direction, so the map would be one point; choose other words")
    rows = np.pad(rows, ((0, 0), (0, max(0, 2 - rows.shape[1]))))  # two dimensions need two columns
    points = _pca(rows) if method == "pca" else _tsne(rows, seed)
    points = points - points.mean(axis=0)
    scaled: NDArray[np.float32] = (points / np.abs(points).max()).astype(np.float32)
    return scaled


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
    """Return the first ``n`` words with a letter; tables list frequent words first."""
    return tuple(islice((word for word in table.words if any(map(str.isalpha, word))), n))
