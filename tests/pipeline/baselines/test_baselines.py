import json
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import FunctionTransformer, normalize
from threadpoolctl import threadpool_info

from embeddings import EmbeddingTable, WordTokenizer
from pipeline import baselines
from pipeline.baselines.linear import logistic_regression
from pipeline.baselines.selection import TooLargeError

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


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_means_do_not_depend_on_how_many_are_computed_together(monkeypatch, at_once):
    texts = ["cat cat dog", "", "nothing known", "dog", "cat, dog!"]
    expected = baselines.MeanVectors(TABLE, WordTokenizer())(texts)
    monkeypatch.setattr(import_module("pipeline.baselines.classification"), "N_AT_ONCE", at_once)
    assert np.array_equal(baselines.MeanVectors(TABLE, WordTokenizer())(texts), expected)
    assert baselines.MeanVectors(TABLE, WordTokenizer())([]).shape == (0, 2)


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
    labels = ["+", "+", "-", "-"] * 3
    assert baselines.logistic_regression_on_means(train, labels, test) == ["+", "-"]
    assert baselines.nearest_centroid(train, labels, test) == ["+", "-"]


def test_the_nearest_centroid_is_by_angle():
    train = np.array([[1, 0], [90, 9], [0, 1], [1, 9]], np.float32)
    test = np.array([[0.1, 0.01], [2, 9]], np.float32)
    assert baselines.nearest_centroid(train, ["x", "x", "y", "y"], test) == ["x", "y"]


@pytest.mark.parametrize("seed", range(20))
def test_the_nearest_centroid_is_scikit_learns(seed):
    random = np.random.default_rng(seed)
    n, k, dim = random.integers(30, 200), random.integers(2, 12), random.integers(1, 40)
    train, test = (random.normal(size=(rows, dim)).astype(np.float32) for rows in (n, 50))
    labels = [f"label {i}" for i in (*range(k), *random.integers(0, k, n - k))]
    expected = NearestCentroid().fit(normalize(train), labels).predict(normalize(test))
    assert baselines.nearest_centroid(train, labels, test) == expected.tolist()


@pytest.mark.parametrize("n_labels", [6, 40])
def test_one_example_a_label_causes_no_warning(n_labels):
    """scikit-learn divides by the degrees of freedom within labels, of which there are none, and suspects numbers."""
    labels, texts = [f"l{i}" for i in range(n_labels)], [f"word{i} and word{i + 1}" for i in range(n_labels)]
    vectors = np.random.default_rng(0).normal(size=(n_labels, 8)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert baselines.tfidf(texts, labels, texts) == labels
        assert baselines.nearest_centroid(vectors, labels, vectors) == labels
        assert baselines.logistic_regression_on_means(vectors, labels, vectors) == labels


def test_a_regression_that_has_not_converged_is_one_line_of_the_log(caplog):
    random = np.random.default_rng(0)
    vectors, labels = random.normal(size=(60, 8)), [f"l{i % 5}" for i in range(60)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logistic_regression(vectors, labels, vectors, features=FunctionTransformer(), max_iter=2)
    assert [record.getMessage() for record in caplog.records] == [
        "the logistic regression of a baseline has not converged after 2 iterations"]


def test_vectors_that_are_equal_for_all_texts_have_no_baseline():
    train, labels, test = np.zeros((4, 2), np.float32), ["a", "b", "a", "b"], np.ones((2, 2), np.float32)
    assert baselines.logistic_regression_on_means(train, labels, test) is None
    assert baselines.nearest_centroid(train, labels, test) is None


def test_a_fit_above_the_limit_is_refused_before_it_begins():
    labels = [f"l{i}" for i in range(2000)]
    texts = [f"word{i} other{i}" for i in range(2000)]
    with pytest.raises(TooLargeError, match=r"2,000 labels, [\d,]+ features, 2,000 training examples") as error:
        baselines.tfidf(texts, labels, texts, max_gb=1)
    assert error.value.needed == pytest.approx(8 * (30 * 2000 * 6001 + 3 * 2000 * 2000), rel=1e-3)  # few collisions
    with pytest.raises(TooLargeError, match="2,000 training texts") as error:
        baselines.tfidf(texts, labels, texts, max_gb=0.01)
    assert len(baselines.tfidf(texts[:200], labels[:200], texts[:200], max_gb=0.1)) == 200


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak memory of a process is read there")
@pytest.mark.parametrize(("n", "k", "n_features"), [(600, 300, 8_000), (4_000, 1_000, 50)])
def test_the_estimate_of_the_memory_is_near_what_a_fit_takes(n, k, n_features):
    """Coefficients dominate the first, scores the second."""
    code = f"""
import json, pathlib, re, numpy, scipy.sparse, sklearn.linear_model, sklearn.preprocessing
from pipeline.baselines import linear
n, k, n_features = {n}, {k}, {n_features}
random = numpy.random.default_rng(0)
vectors = scipy.sparse.csr_matrix((random.random(10 * n), (numpy.repeat(numpy.arange(n), 10),
                                   random.integers(0, n_features, 10 * n))), shape=(n, n_features))
estimates = []
linear.require_memory = lambda needed, *_: estimates.append(needed)
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s*([0-9]+) kB", pathlib.Path("/proc/self/status").read_text())[1])
before = peak()
linear.logistic_regression(vectors, [f"l{{i % k}}" for i in range(n)], vectors[:9].toarray(),
                           features=sklearn.preprocessing.FunctionTransformer(accept_sparse=True), max_iter=12)
print(json.dumps([estimates[0], peak() - before]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    estimate, taken = json.loads(done.stdout)
    assert 0.6 < taken / estimate < 1.25
