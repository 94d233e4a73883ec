"""Vectors of tokens as means of the vectors of the words that contain them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embeddings.table.row_maps import Vectors


def mean_by_token(
    n_tokens: int, ids: Sequence[NDArray[np.integer]], weights: Sequence[float], vectors: Vectors, rows: Sequence[int]
) -> tuple[Vectors, NDArray[np.bool_]]:
    """Compute for each token the weighted mean of the vectors of the words that contain it.

    Args:
        n_tokens: number of tokens.
        ids: tokens of each word. *Shape* of each: ``(n_subwords,)``.
        weights: weight of each word, such as its count in a text.
        vectors: vectors, float32. *Shape:* ``(n_vectors, dim)``.
        rows: row in ``vectors`` of each word.

    Returns:
        The means, float32, zeros for a token that no word contains, and whether a word contains it.
        *Shape:* ``(n_tokens, dim)`` and ``(n_tokens,)``.
    """
    from scipy.sparse import csr_array  # takes a tenth of a second

    pairs = [(token, word) for word, one in enumerate(ids) for token in np.unique(one)]
    if not pairs:
        return np.zeros((n_tokens, vectors.shape[1]), np.float32), np.zeros(n_tokens, np.bool_)
    token, word = np.array(pairs, np.int64).T
    weight = np.asarray(weights, np.float64)[word]
    totals = np.bincount(token, weight, minlength=n_tokens)
    shares = (weight / totals[token]).astype(np.float32)
    columns = np.asarray(rows, np.int64)[word]
    means: Vectors = csr_array((shares, (token, columns)), shape=(n_tokens, len(vectors))) @ np.asarray(vectors)
    return means, totals > 0
