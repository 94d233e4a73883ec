import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_info

from embeddings import EmbeddingTable, WordTokenizer
from pipeline import baselines
from pipeline.baselines.linear import logistic_regression

TABLE = EmbeddingTable.known(["cat", "dog"], np.array([[1.0, 2.0], [5.0, 0.0]], np.float32), "here")


@pytest.mark.parametrize(
    ("text", "mean"),
    [
        ("cat", [1, 2]),
        ("cat cat dog", [7 / 3, 4 / 3]),  # each occurrence of a word counts
        ("Dog and unknown words", [5, 0]),  # what has no vector counts for nothing
        ("cat, dog!", [3, 1]),
        ("nothing known", [0, 0]),
        ("", [0, 0]),
    ],
)
def test_mean_vectors_by_hand(text, mean):
    means = baselines.MeanVectors(TABLE, WordTokenizer())
    assert means([text]).dtype == np.float32
    np.testing.assert_allclose(means([text]), [mean], rtol=1e-6)
    np.testing.assert_allclose(means(["dog", text, "cat"]), [[5, 0], mean, [1, 2]], rtol=1e-6)


def test_words_of_another_case_are_known_where_case_is_kept():
    means = baselines.MeanVectors(TABLE, WordTokenizer(lowercase=False))
    np.testing.assert_allclose(means(["CAT dog"]), [[3, 1]])


def test_rows_marked_missing_are_ignored():
    vectors = np.array([[1, 2], [9, 9]], np.float32)
    table = EmbeddingTable(("cat", "dog"), vectors, ("exact", "missing"), "here")
    np.testing.assert_allclose(baselines.MeanVectors(table, WordTokenizer())(["cat dog"]), [[1, 2]])


def test_the_majority_is_the_most_frequent_label_or_the_first_of_equals():
    assert baselines.majority(["x", "y", "y"], 2) == ["y", "y"]
    assert baselines.majority(["b", "a", "b", "a"], 1) == ["a"]


def test_tfidf_on_separable_texts():
    train = ["good fine", "good nice", "bad poor", "bad awful"] * 3
    assert baselines.tfidf(train, ["+", "+", "-", "-"] * 3, ["good", "awful"]) == ["+", "-"]


def test_tfidf_sees_pairs_of_neighbours():
    train = ["not good", "good", "not bad", "bad"] * 5
    assert baselines.tfidf(train, ["-", "+", "+", "-"] * 5, train[:4]) == ["-", "+", "+", "-"]


def test_logistic_regression_keeps_blas_to_one_thread_and_gives_them_back():
    found = []

    class Looks(FunctionTransformer):
        def transform(self, vectors):
            found.extend(_blas_threads())
            return vectors

    before = _blas_threads()
    vectors = np.array([[1.0], [-1.0]] * 3)
    assert logistic_regression(vectors, ["+", "-"] * 3, vectors[:2], features=Looks(), C=1) == ["+", "-"]
    assert found and set(found) == {1}
    assert _blas_threads() == before


def _blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_mean_vectors_on_separable_vectors():
    train = np.array([[1, 0], [1, 0.1], [-1, 0], [-1, 0.1]] * 3, np.float32)
    test = np.array([[2, 0], [-2, 0]], np.float32)
    guesses = baselines.on_mean_vectors(train, ["+", "+", "-", "-"] * 3, test)
    assert guesses == {"mean-vectors+logreg": ["+", "-"], "nearest-centroid": ["+", "-"]}


def test_the_nearest_centroid_is_by_angle():
    train = np.array([[1, 0], [90, 9], [0, 1], [1, 9]], np.float32)
    test = np.array([[0.1, 0.01], [2, 9]], np.float32)
    assert baselines.on_mean_vectors(train, ["x", "x", "y", "y"], test)["nearest-centroid"] == ["x", "y"]


def test_vectors_that_are_equal_for_all_texts_have_no_baseline():
    assert baselines.on_mean_vectors(np.zeros((4, 2), np.float32), ["a", "b", "a", "b"], np.ones((2, 2))) == {}
