"""Vectors of any size: ordinary results are numpy's bit for bit, extreme ones those of the scaled vectors."""

import warnings

import numpy as np
import pytest

from embeddings.analysis.gold_standards import Pair
from embeddings.analysis.intrinsic import IntrinsicEvaluation
from embeddings.analysis.neighbors import Neighborhood, nearest_rows
from embeddings.analysis.projection import project
from embeddings.errors import EmbeddingError
from embeddings.loading import load_vectors
from embeddings.request import VectorRequest
from embeddings.sources.concat import concatenate
from embeddings.table import EmbeddingTable
from embeddings.table.moments import deviation, mean, norms, unit_rows
from embeddings.table.oov_composers import Averaged, NgramVectors
from embeddings.table.oov_policy import draw_like
from embeddings.transforms import apply_transforms
from pipeline.commands.vectors import summarize

SIZES = [1e-44, 1e-40, 1e-30, 1e-22, 1e-19, 1e-10, 1e10, 1e19, 1e20, 1e37]
EACH_SIZE = pytest.mark.parametrize("size", SIZES)
WORDS = [f"w{i}" for i in range(60)]
ROWS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def scaled(size):
    return (ROWS.astype(np.float64) * size).astype(np.float32)


def table(rows, words=WORDS):
    return EmbeddingTable.known(words, rows, "x")


def test_ordinary_vectors_give_numpys_results_bit_for_bit():
    rows = load_vectors("glove").vectors
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    assert unit_rows(rows).tobytes() == (rows / np.where(norm > 0, norm, 1)).astype(np.float32).tobytes()
    assert norms(rows).tobytes() == norm.tobytes()
    for axis in (None, 0):
        assert mean(rows, axis).tobytes() == np.asarray(rows.mean(axis=axis)).tobytes()
        assert deviation(rows, axis).tobytes() == np.asarray(rows.std(axis=axis)).tobytes()
    some = rows[:100].copy()
    some[:, 3] = 0.1
    some[5] = 0
    assert deviation(some, 0).tobytes() == some.std(axis=0).tobytes()
    some[:, 3] = 0.1
    assert deviation(some, 0).tobytes() == some.std(axis=0).tobytes()
    some[5] = 0
    assert unit_rows(some)[5].tolist() == [0] * rows.shape[1]


@EACH_SIZE
def test_moments_are_those_of_the_scaled_vectors(size):
    rows = scaled(size)
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(norms(rows)[:, 0], np.linalg.norm(exact, axis=1), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(unit_rows(rows), axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(deviation(rows), exact.std(), rtol=1e-4)
    np.testing.assert_allclose(deviation(rows, 0), exact.std(axis=0), rtol=1e-4)
    np.testing.assert_allclose(mean(rows, 0), exact.mean(axis=0), rtol=1e-4, atol=size * 1e-5 + 1e-45)


@EACH_SIZE
def test_neighbors_and_scores_do_not_depend_on_the_size(size):
    size = max(size, 1e-36)  # below, float32 has few digits
    expected_rows, expected = nearest_rows(ROWS, ROWS, 5)
    rows, similarity = nearest_rows(scaled(size), scaled(size), 5)
    np.testing.assert_allclose(similarity, expected, atol=1e-5)
    assert (rows == expected_rows).mean() > 0.99
    found = Neighborhood(table(np.vstack([scaled(size), scaled(size)[:1]]), [*WORDS, "same"])).of_words(["w0"], 3)
    assert found.neighbors[0].word == "same"
    assert 1 - 1e-5 < found.neighbors[0].similarity <= 1
    pairs = [Pair(f"w{i}", f"w{i + 1}", float(i)) for i in range(20)]
    assert IntrinsicEvaluation(table(scaled(size))).similarity(pairs).spearman == pytest.approx(
        IntrinsicEvaluation(table(ROWS)).similarity(pairs).spearman)


@EACH_SIZE
@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_a_map_of_any_vectors(size, method):
    points = project(scaled(size), method)
    assert np.isfinite(points).all()
    assert np.abs(points).max() == 1


def test_degenerate_maps_are_a_map_or_a_message():
    two = np.repeat(np.eye(2, 4, dtype=np.float32), 30, axis=0)
    almost = np.ones((60, 4), np.float32)
    almost[0, 0] = np.nextafter(np.float32(1), np.float32(2))
    zeros = np.zeros((60, 4), np.float32)
    zeros[0, 0] = 1e-45
    for rows in (two, almost, zeros, np.full((60, 4), np.nan, np.float32), np.zeros((60, 4), np.float32)):
        for method in ("tsne", "pca"):
            try:
                assert np.isfinite(project(rows, method)).all()
            except EmbeddingError as error:
                assert "map" in str(error)


@EACH_SIZE
@pytest.mark.parametrize("transform", ["unit", "center", "standardize", "standardize:columns", "all-but-the-top:1",
                                       "pca:2", "project:2", "sif", "zipf", "clip:1"])
def test_transforms_of_any_vectors_are_finite_or_one_message(size, transform):
    try:
        found = apply_transforms(table(scaled(size)), [transform], VectorRequest())
    except EmbeddingError as error:
        assert size in (SIZES[0], SIZES[1], SIZES[-1])
        assert "\n" not in str(error)
        return
    assert np.isfinite(found.vectors).all()
    if transform == "standardize":
        assert found.vectors.std() == pytest.approx(1, rel=1e-3)
    if transform == "unit":
        np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)


@EACH_SIZE
def test_concatenation_random_rows_and_summary(size):
    rows = scaled(size)
    if size > 1e-38:
        joined = concatenate([table(rows), table(ROWS)], None, "x+y")
        assert joined.vectors[:, :4].std() == pytest.approx(1, rel=1e-3)
    drawn = draw_like(rows, 1000, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    assert deviation(drawn) == pytest.approx(float(deviation(rows)), rel=0.2)
    summary = summarize(table(rows))
    assert summary["norm"]["greatest"] == pytest.approx(np.linalg.norm(rows.astype(np.float64), axis=1).max(), rel=1e-5)


def test_composed_vectors_do_not_overflow():
    ngrams = NgramVectors(np.full((5, 2), 3e38, np.float32), min_n=1, max_n=3)
    assert ngrams.compose(["word"]).vectors[0].tolist() == pytest.approx([3e38, 3e38])
    assert Averaged((ngrams, ngrams)).compose(["word"]).vectors[0].tolist() == pytest.approx([3e38, 3e38])


def test_a_transform_that_overflows_is_one_message():
    rows = np.array([[3e38, 1], [-3e38, 1], [3e38, 1]], np.float32)
    with pytest.raises(EmbeddingError, match=r"x: the vector of 'b' is not finite after center: its numbers are too"):
        apply_transforms(table(rows, ["a", "b", "c"]), ["center"], VectorRequest())
