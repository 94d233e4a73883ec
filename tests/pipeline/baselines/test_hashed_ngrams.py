import math
from importlib import import_module

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import HashingVectorizer

from embeddings.tokenization.ngrams import WORD_PATTERN
from pipeline.baselines.hashed_ngrams import BUCKETS, Adam, HashedNgrams, hashed_ngrams
from pipeline.baselines.selection import TooLargeError

TRAIN = ["good film", "not good film", "bad film", "not bad film"] * 10
LABELS = ["+", "-", "-", "+"] * 10


def test_word_order_is_learned():
    assert hashed_ngrams(TRAIN, LABELS, TRAIN[:4]) == LABELS[:4]


def test_the_same_seed_gives_the_same_vectors():
    one, other = (HashedNgrams(["+", "-"], seed=1) for _ in range(2))
    for model in (one, other):
        model.fit(TRAIN, np.array([0, 1, 1, 0] * 10))
    assert (one.vectors == other.vectors).all()


def test_scores_are_those_of_the_mean_of_the_known_ngrams():
    model = HashedNgrams(["+", "-"], seed=1)
    model.fit(TRAIN, np.array([0, 1, 1, 0] * 10))
    hasher = HashingVectorizer(ngram_range=(1, 2), n_features=BUCKETS, norm="l1", alternate_sign=False,
                               token_pattern=WORD_PATTERN)
    for text in ("not good", "good zebra film", "zebra", ""):
        shares = hasher.transform([text]).toarray()[0]
        known = hasher.transform(TRAIN).toarray().any(axis=0)
        mean = shares[known] @ model.vectors[known]
        expected = mean @ model.output[:-1] + model.output[-1]
        np.testing.assert_allclose(model.scores([text])[0], expected, rtol=1e-4, atol=1e-5)


def test_many_texts_whose_ngrams_are_not_stored_give_the_same_vectors(monkeypatch):
    stored, counted = (HashedNgrams(["+", "-"], seed=1) for _ in range(2))
    stored.fit(TRAIN, np.array([0, 1, 1, 0] * 10))
    monkeypatch.setattr(import_module("pipeline.baselines.hashed_ngrams"), "MAX_STORED", 39)
    counted.fit(TRAIN, np.array([0, 1, 1, 0] * 10))
    assert (stored.vectors == counted.vectors).all()
    assert (stored.output == counted.output).all()


def test_steps_are_those_of_sparse_adam():
    random = np.random.default_rng(1)
    start = random.normal(size=(6, 3)).astype(np.float32)
    ours, theirs = start.copy(), torch.nn.Parameter(torch.from_numpy(start.copy()))
    adam, reference = Adam(ours), torch.optim.SparseAdam([theirs], lr=0.1)
    for _ in range(5):
        rows = np.sort(random.permutation(6)[:3])
        gradient = random.normal(size=(3, 3)).astype(np.float32)
        theirs.grad = torch.sparse_coo_tensor(torch.from_numpy(rows)[None], torch.from_numpy(gradient), (6, 3),
                                              check_invariants=True)
        adam.step(rows, gradient, 0.1)
        reference.step()
    np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-5, atol=1e-6)


def test_texts_without_words_have_a_label():
    assert set(hashed_ngrams([*TRAIN, ""], [*LABELS, "-"], ["", "zebra"])) <= {"+", "-"}


def test_texts_without_any_word_have_the_most_frequent_label():
    assert hashed_ngrams(["", " ", ""], ["+", "-", "+"], ["a", ""]) == ["+", "+"]


def test_one_label_is_predicted():
    assert hashed_ngrams(["a", "b"], ["+", "+"], ["a", "c"]) == ["+", "+"]


def test_a_fit_above_the_limit_of_memory_is_refused():
    with pytest.raises(TooLargeError):
        hashed_ngrams(TRAIN, LABELS, TRAIN, max_gb=1e-3)
    assert hashed_ngrams(TRAIN, LABELS, TRAIN[:1], max_gb=math.inf) == ["+"]
