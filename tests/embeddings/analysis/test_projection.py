"""Projections are reproducible, equal PCA by definition, and preserve neighbourhoods."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import EmbeddingTable
from embeddings.analysis.projection import frequent_words, project
from embeddings.errors import EmbeddingError


def drawn(n, dim, seed=1):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@given(st.integers(3, 30), st.integers(2, 12), st.integers(0, 999))
def test_pca_projects_to_the_two_principal_components(n, dim, seed):
    vectors = drawn(n, dim, seed)
    points = project(vectors, "pca")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    expected = (left * values)[:, :2]
    expected /= np.abs(expected).max()
    assert np.allclose(np.abs(points), np.abs(expected), atol=1e-3)  # the sign of a component is arbitrary


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize(("n", "dim"), [(3, 1), (3, 5), (40, 5)])
def test_projection_is_reproducible_and_bounded(method, n, dim):
    vectors = drawn(n, dim)
    vectors[0] = 0
    points = project(vectors, method, seed=3)
    assert points.shape == (n, 2)
    assert points.dtype == np.float32
    assert np.abs(points).max() == pytest.approx(1)
    assert np.array_equal(points, project(vectors, method, seed=3))


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_clusters_are_separated(method):
    centres = np.repeat(np.eye(2, 10, dtype=np.float32), 20, axis=0)
    points = project(centres + 0.05 * drawn(40, 10), method)
    within = max(np.linalg.norm(half - half.mean(axis=0), axis=1).mean() for half in (points[:20], points[20:]))
    assert np.linalg.norm(points[:20].mean(axis=0) - points[20:].mean(axis=0)) > 2 * within


@pytest.mark.parametrize(("vectors", "message"), [
    (drawn(2, 5), "at least 3 words, not 2"),
    (np.outer([1, 2, 3], np.ones(4)).astype(np.float32), "all vectors have the same direction"),
    (np.zeros((5, 4), np.float32), "all vectors have the same direction"),
])
def test_impossible_projections_are_errors(vectors, message):
    with pytest.raises(EmbeddingError, match=message):
        project(vectors)


def test_frequent_words_contain_a_letter():
    words = [",", "the", "1984", "u.s.", "東京", "--", "of"]
    table = EmbeddingTable.known(words, drawn(len(words), 2), "drawn")
    assert frequent_words(table, 3) == ("the", "u.s.", "東京")
