import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from embeddings.tokenization.ngrams import NgramHasher, inverse_document_frequency, tfidf
from pipeline import RunConfig
from pipeline.baselines.selection import GB
from pipeline.data.examples import Example
from pipeline.tasks import base
from pipeline.tasks.base import Prepared
from pipeline.tasks.ngrams import fit as fit_module
from pipeline.tasks.ngrams import scores
from pipeline.tasks.ngrams.fit import (
    ABSENT,
    COUNT_COPIES,
    LARGEST,
    SHARE_OF_LIMIT,
    SMALLEST,
    choose_buckets,
    fit,
    plan,
    refit,
)
from pipeline.tasks.ngrams.fusion import DEFAULT
from pipeline.tasks.ngrams.regression import CANDIDATES, relevance
from pipeline.tasks.ngrams.sampling import stratified_sample
from pipeline.tasks.resolved import SelfTrained, Setup
from pipeline.tasks.text_input import joined
from transformer.models.ngram_branch import NgramBranch

TASK = base.find("classification")
WORDS = {"a": "red apple", "b": "blue sky", "c": "green grass"}


def examples(labels):
    return [Example(f"{WORDS[label]} {i}", label, "") for i, label in enumerate(labels)]


def setup(labels="ab", weights=(), **values):
    config = RunConfig.from_mapping({"ngrams": {"enabled": True, **values}})
    return Setup(config, TASK.resolved_type(labels=tuple(labels), label_weights=tuple(weights)))


def fitted(train, made):
    planned = plan(made, TASK, train)
    branch = NgramBranch(n_buckets=planned.setup.resolved.ngram_buckets, n_classes=len(made.resolved.labels))
    fit(branch, planned.counts, planned.gold, planned.setup)
    return planned, branch


def columns_of(planned, is_label):
    """The columns with an entry, and their entries times their relevance."""
    rows = tfidf(planned.counts, inverse_document_frequency(planned.counts))
    used = np.unique(rows.indices)
    relevant = relevance(rows[:, used], is_label)
    return used, relevant, rows[:, used].multiply(relevant).tocsr().astype(np.float32)


@pytest.mark.parametrize(("labels", "weights"), [("ab", ()), ("ab", (3.0, 1.0)), ("abc", ()), ("abc", (1.0, 5.0, 0.2))])
def test_the_branch_is_the_logistic_regression_of_scikit_learn(labels, weights):
    train = examples(labels * 10)
    planned, branch = fitted(train, setup(labels, weights))
    logits = []
    for label in range(len(labels)):
        _, _, rows = columns_of(planned, planned.gold == label)
        theirs = LogisticRegression(C=10, solver="liblinear", random_state=1, tol=1e-6)
        theirs.fit(rows, planned.gold == label, np.array(weights or [1.0] * len(labels))[planned.gold])
        logits.append(theirs.decision_function(rows))
    expected = torch.tensor(np.array(logits)).T / (2 if len(labels) == 2 else 1)
    ours = scores.log_probabilities(branch, [example.text for example in train], planned.setup)
    np.testing.assert_allclose(ours.numpy(), expected.log_softmax(dim=1).numpy(), rtol=2e-2, atol=2e-3)


def test_the_same_seed_gives_the_same_bytes():
    one, other = (fitted(examples("ab" * 10), setup())[1].state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("labels", "weights", "present"), [
    ("abc", (), "ab"), ("abc", (1.0, 1.0, 0.0), "abc"), ("ab", (1.0, 0.0), "ab"),
])
def test_a_label_without_examples_or_weight_is_improbable(labels, weights, present):
    planned, branch = fitted(examples(present * 10), setup(labels, weights))
    found = scores.log_probabilities(branch, ["green grass", ""], planned.setup)
    assert found.isfinite().all()
    assert (found[:, -1] < ABSENT / 2).all()


def test_the_resolved_facts_have_the_sizes():
    planned = plan(setup(), TASK, examples("ab" * 10))
    assert planned.setup.resolved.ngram_buckets == planned.counts.shape[1] == SMALLEST
    assert planned.setup.resolved.ngram_weights == DEFAULT
    assert plan(setup(buckets=64), TASK, examples("ab" * 10)).counts.shape == (20, 64)


def test_other_tasks_and_other_configurations_have_no_branch():
    made = setup()
    assert plan(made, base.find("regression"), []).counts is None
    off = Setup(RunConfig(), made.resolved)
    assert plan(off, TASK, examples("ab")).setup is off


@pytest.mark.parametrize(("labels", "limit", "message"), [
    ("ab", 1e-6, r"left out: it needs about 0\.0 GB of memory \(20 training texts\)"),
    ("ab", 1e-4, r"left out: it needs about 0\.0 GB of memory \(2 labels, 16,384 buckets, 20 training texts\)"),
    (["a", "b", *map(str, range(2000))], 2.0, r"left out: 2,002 labels; with more than 1,024, set ngrams\.buckets"),
])
def test_above_a_limit_the_branch_is_left_out_with_a_message(labels, limit, message, caplog):
    made = setup(labels)
    made = replace(made, config=replace(made.config, baseline_memory_gb=limit))
    with caplog.at_level(logging.WARNING, logger="vecformer"):
        planned = plan(made, TASK, examples("ab" * 10))
    assert planned.counts is None
    assert planned.setup is made
    assert re.search(message, caplog.text)


def test_above_the_limit_the_branch_is_fitted_to_a_sample(monkeypatch, caplog):
    monkeypatch.setattr(fit_module, "FEWEST", 10)
    made, train = setup("abc"), examples("ab" * 200 + "c")
    needed = scores.hasher_of(made.config, LARGEST).bytes_for(map(joined, train), COUNT_COPIES)
    made = replace(made, config=replace(made.config, baseline_memory_gb=needed / 4 / GB))
    monkeypatch.setattr(fit_module, "_too_many", lambda *_: "")
    with caplog.at_level(logging.WARNING, logger="vecformer"):
        planned = plan(made, TASK, train)
    n = int(SHARE_OF_LIMIT * len(train) / 4)
    assert f"fitted to {n} of the training texts: with all of them, it needs about 0.0 GB" in caplog.text
    assert planned.counts.shape == (n, planned.setup.resolved.ngram_buckets)
    a, b, c = np.bincount(planned.gold)
    assert (abs(a - b), c) == (0, 1)
    again = plan(made, TASK, train)
    assert (again.gold == planned.gold).all()
    assert (again.counts != planned.counts).nnz == 0
    other = plan(replace(made, config=replace(made.config, seed=2)), TASK, train)
    assert (other.counts != planned.counts).nnz > 0


def test_a_sample_with_long_texts_is_within_the_limit(monkeypatch):
    monkeypatch.setattr(fit_module, "FEWEST", 10)
    monkeypatch.setattr(fit_module, "_too_many", lambda *_: "")
    counts, drawn = NgramHasher.counts, []

    def recorded(self, texts):
        drawn.append(texts)
        return counts(self, texts)

    monkeypatch.setattr(NgramHasher, "counts", recorded)
    train = [Example("red apple " * (500 if i % 40 == 0 else 1), "ab"[i % 2], "") for i in range(400)]
    hasher = scores.hasher_of(setup().config, LARGEST)
    limit = hasher.bytes_for(map(joined, train), COUNT_COPIES) / 2
    for seed in range(1, 20):
        made = setup()
        plan(replace(made, config=replace(made.config, baseline_memory_gb=limit / GB, seed=seed)), TASK, train)
    assert max(hasher.bytes_for(texts, COUNT_COPIES) for texts in drawn) <= limit
    assert len({len(texts) for texts in drawn}) > 1  # a sample with too many long texts was drawn again


def test_a_branch_that_is_left_out_is_not_fitted_to_a_sample(monkeypatch, caplog):
    monkeypatch.setattr(fit_module, "FEWEST", 10)
    monkeypatch.setattr(fit_module, "_too_many", lambda *_: "too many labels")
    made, train = setup("ab"), examples("ab" * 200)
    needed = scores.hasher_of(made.config, LARGEST).bytes_for(map(joined, train), COUNT_COPIES)
    with caplog.at_level(logging.WARNING, logger="vecformer"):
        plan(replace(made, config=replace(made.config, baseline_memory_gb=needed / 2 / GB)), TASK, train)
    assert "left out: too many labels" in caplog.text
    assert "fitted to" not in caplog.text


@given(st.lists(st.integers(0, 6), min_size=1, max_size=300), st.data())
def test_a_sample_has_the_shares_of_the_labels(labels, data):
    gold = np.unique(labels, return_inverse=True)[1]
    sizes = np.bincount(gold)
    n = data.draw(st.integers(len(sizes), len(gold)))
    rows = stratified_sample(gold, n, seed=1)
    assert len(set(rows.tolist())) == n
    assert (np.diff(rows) > 0).all()
    drawn = np.bincount(gold[rows], minlength=len(sizes))
    assert drawn.min() >= 1
    assert (abs(drawn - n * sizes / len(gold)) <= len(sizes)).all()


@pytest.mark.parametrize(("n_distinct", "n_labels", "expected"), [
    (10, 2, SMALLEST), (2**14, 2, 2**17), (2**14 + 1, 2, 2**18), (2**18, 2, LARGEST), (2**18, 100, 2**17),
    (2**18, 1024, 2**14), (10, 1025, 0),
])
def test_the_number_of_buckets_follows_from_distinct_ngrams_and_labels(n_distinct, n_labels, expected):
    from scipy.sparse import csr_matrix

    columns = np.arange(n_distinct)
    counts = csr_matrix((np.ones(n_distinct), columns, [0, n_distinct]), shape=(1, 2**20))
    assert choose_buckets(counts, n_labels) == expected


def test_an_existing_checkpoint_has_the_branch(tmp_path):
    planned = plan(setup(), TASK, examples("ab" * 10))
    model = torch.nn.Module()
    model.ngrams = NgramBranch(n_buckets=planned.setup.resolved.ngram_buckets, n_classes=2)
    (tmp_path / "there").touch()
    planned.into(model, checkpoint=tmp_path / "there")
    assert not model.ngrams.weight.any()
    planned.into(model, checkpoint=Path(tmp_path / "absent"))
    assert model.ngrams.weight.any()


def test_log_probabilities_are_stored_between_epochs_unless_they_are_many(monkeypatch):
    train = examples("ab" * 10)
    planned, branch = fitted(train, setup())
    prepared = Prepared(train, (), None)
    first = scores.ngram_scores(branch, prepared, planned.setup)([3, 1])
    branch.weight.zero_()
    torch.testing.assert_close(scores.ngram_scores(branch, prepared, planned.setup)([3, 1]), first)
    monkeypatch.setattr(scores, "MAX_STORED", 0)
    again = scores.ngram_scores(branch, prepared, planned.setup)([3, 1])
    assert torch.equal(again[0], again[1])  # the bias alone


def model_of(planned):
    model = torch.nn.Module()
    model.ngrams = NgramBranch(n_buckets=planned.setup.resolved.ngram_buckets, n_classes=2)
    planned.into(model, checkpoint=Path("absent"))
    return model


def test_regularization_is_chosen_before_training_and_kept():
    train = examples("ab" * 100)
    planned, branch = fitted(train, setup())
    chosen = planned.setup.resolved.ngram_regularization
    assert chosen in CANDIDATES
    same, as_configured = fitted(train, setup(regularization=chosen))
    assert same.setup.resolved.ngram_regularization == chosen
    assert torch.equal(branch.weight, as_configured.weight)
    assert plan(setup(), TASK, examples("a" * 10)).setup.resolved.ngram_regularization == 0


def test_a_refit_is_a_fit_to_all_examples_with_the_same_regularization():
    train, dev = examples("ab" * 10), [Example("a ripe pear", "a", ""), Example("a deep sea", "b", "")]
    planned = plan(setup(), TASK, train)
    model = model_of(planned)
    refit(model, train, dev, planned.setup)
    resolved = planned.setup.resolved
    both = setup(regularization=resolved.ngram_regularization, buckets=resolved.ngram_buckets)
    _, expected = fitted([*train, *dev], both)
    for name, found in model.ngrams.state_dict().items():
        torch.testing.assert_close(found, expected.state_dict()[name])


@pytest.mark.parametrize("why", ["switched off", "self-training", "memory", "no branch", "no dev"])
def test_a_branch_that_is_not_fitted_again_stays_the_same(why):
    train = examples("ab" * 10)
    planned = plan(setup(refit=why != "switched off"), TASK, train)
    model, made = model_of(planned), planned.setup
    before = {name: values.clone() for name, values in model.state_dict().items()}
    if why == "self-training":
        made = replace(made, resolved=replace(made.resolved, self_training=SelfTrained(1, 0.5, 0.6, True)))
    if why == "memory":
        made = replace(made, config=replace(made.config, baseline_memory_gb=1e-6))
    if why == "no branch":
        model = torch.nn.Module()
    refit(model, train, [Example("a ripe pear", "b", "")] if why != "no dev" else [], made)
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
