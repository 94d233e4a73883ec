"""Features of sources against independent implementations of their papers, and their meaning on made-up vectors."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import DEFAULT_POLICY
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.benchmark.forecast.features import TaskTexts, features_of
from pipeline.benchmark.forecast.loading import UntrainedSources
from pipeline.benchmark.forecast.text_counts import SMOOTHING, TextCounts, count_vectors, mutual_information
from pipeline.benchmark.forecast.transferability import h_score, linear_accuracy, log_me, matching_accuracy


def made_up(n, dim, n_labels, seed, signal=1.0):
    random = np.random.default_rng(seed)
    numbers = random.integers(0, n_labels, n)
    vectors = random.standard_normal((n, dim)) * random.uniform(0.2, 3, dim)
    vectors[:, 0] += signal * numbers
    return vectors, [f"label {number}" for number in numbers]


def naive_log_me(vectors, labels):
    """Maximise the evidence over alpha and beta: each column of labels is normal with mean 0."""
    found = []
    for name in sorted(set(labels)):
        target = np.array([label == name for label in labels], float)

        def loss(logarithms, target=target):
            alpha, beta = np.exp(logarithms)
            covariance = vectors @ vectors.T / alpha + np.eye(len(target)) / beta
            return -multivariate_normal(np.zeros(len(target)), covariance).logpdf(target) / len(target)

        tries = [minimize(loss, start, method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-6, "fatol": 1e-10})
                 for start in ([0, 0], [3, 3], [-2, 2])]
        found.append(-min(one.fun for one in tries))
    return np.mean(found)


@pytest.mark.parametrize(("n", "dim", "n_labels"), [(40, 5, 2), (30, 12, 3), (20, 40, 2)])
def test_log_me_is_the_maximum_of_the_evidence(n, dim, n_labels):
    vectors, labels = made_up(n, dim, n_labels, seed=n)
    assert log_me(vectors, labels) == pytest.approx(naive_log_me(vectors, labels), abs=1e-5)


def naive_h_score(vectors, labels):
    """The formulas of Ledoit and Wolf, and of the H-score, row by row."""
    n, dim = vectors.shape
    rows = vectors - vectors.mean(axis=0)
    sample = sum(np.outer(row, row) for row in rows) / n
    target = np.trace(sample) / dim * np.eye(dim)
    distance = ((sample - target) ** 2).sum()
    error = sum(((np.outer(row, row) - sample) ** 2).sum() for row in rows) / n**2
    shrinkage = min(error, distance) / distance
    between = np.zeros((dim, dim))
    for name in set(labels):
        mean = rows[[label == name for label in labels]].mean(axis=0)
        between += np.outer(mean, mean) * labels.count(name) / n
    shrunk = (1 - shrinkage) * sample + shrinkage * target
    return np.trace(np.linalg.inv(shrunk) @ ((1 - shrinkage) * between)) / (len(set(labels)) - 1)


@pytest.mark.parametrize(("n", "dim", "n_labels"), [(60, 5, 2), (50, 12, 4), (20, 40, 3)])
def test_h_score_equals_the_formulas(n, dim, n_labels):
    vectors, labels = made_up(n, dim, n_labels, seed=n)
    assert h_score(vectors, labels) == pytest.approx(naive_h_score(vectors, labels), rel=1e-6)


def test_h_score_of_vectors_without_differences_is_zero():
    assert h_score(np.ones((10, 3)), ["a", "b"] * 5) == 0
    assert h_score(np.eye(4), ["a"] * 4) == 0


@pytest.mark.parametrize("measure", [log_me, h_score, linear_accuracy])
def test_a_signal_raises_each_measure(measure):
    with_signal, labels = made_up(200, 10, 2, seed=1, signal=4.0)
    without, _ = made_up(200, 10, 2, seed=1, signal=0.0)
    assert measure(with_signal, labels) > measure(without, labels)


def test_linear_accuracy_is_that_of_cross_validation():
    from sklearn.model_selection import StratifiedKFold

    vectors, labels = made_up(120, 6, 3, seed=3)
    numbers = np.array([int(label[-1]) for label in labels])
    correct = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=1).split(vectors, numbers):
        scaler = StandardScaler().fit(vectors[train])
        model = LogisticRegression(max_iter=2000).fit(scaler.transform(vectors[train]), numbers[train])
        correct.append(model.predict(scaler.transform(vectors[test])) == numbers[test])
    assert linear_accuracy(vectors, labels) == pytest.approx(np.concatenate(correct).mean())


@pytest.mark.parametrize(("labels", "expected"), [(["a", "a", "a", "b"], 0.75), (["a", "b", "c", "d"], 0.25),
                                                  (["a"] * 4, 1.0)])
def test_linear_accuracy_without_information_is_that_of_the_most_frequent_label(labels, expected):
    assert linear_accuracy(np.zeros((4, 2)), labels) == expected


def test_matching_finds_the_other_half_and_ties_do_not_count():
    first = np.random.default_rng(1).standard_normal((50, 8))
    assert matching_accuracy(first, 3 * first + 0.01) == 1.0
    assert matching_accuracy(first, np.roll(first, 1, axis=0)) == 0.0
    assert matching_accuracy(np.ones((5, 3)), np.ones((5, 3))) == 0.0
    assert matching_accuracy(first[:1], first[:1]) == 0.0


def test_mutual_information_equals_counting_by_loops():
    texts = [np.array(one, np.int32) for one in ([0, 1, 2, 1, 3], [2, 2, 0], [4], [])]
    counts = np.zeros((5, 5))
    for text in texts:
        for i, word in enumerate(text):
            for j, context in enumerate(text):
                if 0 < abs(i - j) <= 2:
                    counts[word, context] += (3 - abs(i - j)) / 2
    totals = counts.sum(axis=1)
    contexts = totals**SMOOTHING / (totals**SMOOTHING).sum()
    expected = [[max(0.0, math.log(counts[i, j] / (totals[i] * contexts[j]))) if counts[i, j] else 0.0
                 for j in range(5)] for i in range(5)]
    np.testing.assert_allclose(mutual_information(texts, 5, window=2).toarray(), expected, atol=1e-12)


def test_count_vectors_bring_words_of_the_same_contexts_together():
    random = np.random.default_rng(1)
    texts = [np.array([random.integers(0, 2), 2, 3], np.int32) for _ in range(200)]
    texts += [np.array([random.integers(4, 6), 6, 7], np.int32) for _ in range(200)]
    vectors = count_vectors(texts, 8, dim=3, window=2)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.9 > abs(unit[0] @ unit[4]) + 0.5


TEXTS = ["the parcel is late today", "the invoice is wrong", "parcel arrived late", "an invoice arrived"] * 5
LABELS = ["delivery", "billing", "delivery", "billing"] * 5


def test_features_of_a_table(support):
    texts = TaskTexts(TEXTS, LABELS, ["unknown zzz qqq"])
    known = ["the", "parcel", "is", "late", "invoice", "wrong", "arrived"]
    table = EmbeddingTable.known(known, np.random.default_rng(1).standard_normal((7, 16)).astype(np.float32), "made up")
    found = features_of(table, texts, DEFAULT_POLICY)
    counts = WordTokenizer().count([*TEXTS, "unknown zzz qqq"])
    assert found["tokens"] == pytest.approx(sum(counts[word] for word in known) / counts.total())
    assert found["types"] == pytest.approx(7 / len(counts))
    assert found["dim"] == 4
    assert found["random"] == 0
    assert found["spread"] == pytest.approx(math.log10(table.spread / math.sqrt(0.5)), abs=0.2)
    assert found["linear"] == 1.0
    means = np.array([np.mean([table.vectors[table.index[word]] if word in table else np.zeros(16)
                               for word in text.split()], axis=0) for text in TEXTS])
    assert found["logme"] == pytest.approx(log_me(means, LABELS), rel=1e-3)


def test_without_labels_there_are_only_features_that_need_none():
    table = EmbeddingTable.known(["a", "b"], np.eye(2, dtype=np.float32), "made up")
    found = features_of(table, TaskTexts([], [], ["a b a b a b", "b b b a a c"]), DEFAULT_POLICY)
    assert found.keys() == {"tokens", "types", "matching", "spread", "dim", "random"}


def test_a_random_table_covers_nothing_but_has_means():
    texts = TaskTexts(TEXTS, LABELS)
    table, is_trained = UntrainedSources(texts).load("random,dim=8")
    found = features_of(table, texts, DEFAULT_POLICY)
    assert (found["random"], found["tokens"], is_trained) == (1.0, 0.0, False)
    assert found["linear"] > 0.5


def test_texts_are_cut_to_the_maximum_length():
    assert TaskTexts(["one two three"], ["a"], max_length=2).words == ["one", "two"]


@pytest.mark.parametrize(("specification", "dim", "is_trained"), [
    ("word2vec,dim=5,min_count=1", 5, True), ("fasttext,dim=4", 4, True), ("random,dim=3", 3, False),
    ("random,dim=3+word2vec,dim=5,min_count=1", 8, True),
    ("average(word2vec,dim=5,min_count=1,random,dim=3)", 3, True),
])
def test_trained_sources_are_counted_and_nothing_is_trained(specification, dim, is_trained, monkeypatch):
    def refuse(*_):
        raise AssertionError("nothing may be trained")

    monkeypatch.setattr("embeddings.gensim_training.trainer.train", refuse)
    monkeypatch.setattr("embeddings.sources.word2vec.train", refuse)
    monkeypatch.setattr("embeddings.sources.fasttext.train", refuse)
    table, found = UntrainedSources(TaskTexts(TEXTS, LABELS)).load(specification)
    assert (table.dim, found) == (dim, is_trained)


def test_a_source_that_two_sources_contain_is_read_once(monkeypatch):
    calls = []
    original = TextCounts.load
    monkeypatch.setattr(TextCounts, "load", lambda self, request: calls.append(self) or original(self, request))
    loader = UntrainedSources(TaskTexts(TEXTS, LABELS))
    alone, _ = loader.load("word2vec,dim=5,min_count=1")
    loader.load("random,dim=3+word2vec,dim=5,min_count=1")
    loader.load("word2vec,dim=6,min_count=1")
    assert [one.options.dim for one in calls] == [5, 6]
    assert alone.dim == 5


def test_a_file_of_trained_vectors_is_read(support):
    table, is_trained = UntrainedSources(TaskTexts(TEXTS, LABELS)).load(f"word2vec:{support / 'vectors.txt'}")
    assert not is_trained
    expected = sources.load(f"file:{support / 'vectors.txt'}", VectorRequest(vocabulary={"parcel": 1}))
    np.testing.assert_array_equal(table.lookup(["parcel"]).vectors, expected.lookup(["parcel"]).vectors)
