import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pipeline import RunConfig
from pipeline.baselines.linear import fitting
from pipeline.data.examples import Splits, TaggedExample
from pipeline.errors import ConfigError
from pipeline.tasks import base
from pipeline.tasks.resolved import Setup
from pipeline.tasks.tags.branch import ABSENT, LARGEST, SMALLEST, choose_buckets, fit, fit_into, log_probabilities
from pipeline.tasks.tags.features import hashed_features
from pipeline.tasks.tags.scores import DEFAULT, TagLabels, chosen_tags, fused, smoothed
from transformer.models.feature_branch import FeatureBranch

LABELS = ("O", "B-person", "I-person")
TRAIN = [TaggedExample(("Anna", "Smith", "sees", name, "."), ("B-person", "I-person", "O", tag, "O"), "file:1")
         for name, tag in [("Bob", "B-person"), ("Rome", "O"), ("Tim", "B-person"), ("rain", "O")] * 5]


def setup(labels=LABELS, outside_penalty=0.0, **values):
    config = RunConfig.from_mapping({"task": "tagging", "tagging": {"features": True, **values}})
    return Setup(config, TagLabels(labels=labels, feature_buckets=2**14, feature_weights=DEFAULT,
                                   outside_penalty=outside_penalty))


def branch_for(made, train=TRAIN):
    branch = FeatureBranch(n_buckets=made.resolved.feature_buckets, n_classes=len(made.resolved.labels))
    fit(branch, train, made)
    return branch


def log_p(*rows):
    return torch.tensor(rows).log()


@pytest.mark.parametrize("labels", [LABELS, ("B-person", "O", "I-person")])
def test_the_branch_is_the_logistic_regression_of_scikit_learn(labels):
    words = [example.words for example in TRAIN]
    rows = hashed_features(words, 2**14)  # every sentence occurs several times
    with fitting():
        theirs = LogisticRegression(C=0.5, max_iter=1000, tol=1e-4).fit(
            rows[:, np.unique(rows.indices)], [tag for example in TRAIN for tag in example.tags])
    expected = theirs.predict_log_proba(rows[:, np.unique(rows.indices)])
    order = [theirs.classes_.tolist().index(tag) for tag in labels]
    ours = torch.cat(log_probabilities(branch_for(setup(labels, regularization=0.5)), words))
    np.testing.assert_allclose(ours.numpy(), expected[:, order], atol=2e-3)


def test_features_that_occur_once_have_no_weight():
    once = TaggedExample(("Zoe",), ("B-person",), "file:1")
    weight = branch_for(setup(), [*TRAIN, once]).weight
    counts = hashed_features([example.words for example in [*TRAIN, once]], 2**14).sum(axis=0).ravel().tolist()[0]
    single = [bucket for bucket, count in enumerate(counts) if count == 1]
    assert single and not weight[single].any()
    assert weight[[bucket for bucket, count in enumerate(counts) if count > 1]].any(dim=1).all()


def test_two_tags_and_absent_ones():
    plain = [TaggedExample(("red", "runs"), ("ADJ", "VERB"), "file:1")] * 10
    made = setup(("ADJ", "NOUN", "VERB"))
    (scores,) = log_probabilities(branch_for(made, plain), [["red", "runs"]])
    assert scores.argmax(dim=-1).tolist() == [0, 2]
    assert scores[:, 1].max() < ABSENT / 2
    np.testing.assert_allclose(scores.exp().sum(dim=-1), 1, rtol=1e-5)


def test_one_tag_alone_needs_no_fit():
    only = [TaggedExample(("a", "b"), ("O", "O"), "file:1")]
    (scores,) = log_probabilities(branch_for(setup(), only), [["c"]])
    assert scores.argmax(dim=-1).tolist() == [0]


def test_a_checkpoint_has_the_fitted_branch_already(tmp_path):
    model = torch.nn.Module()
    model.features = FeatureBranch(n_buckets=2**14, n_classes=3)
    checkpoint = tmp_path / "training.checkpoint"
    checkpoint.touch()
    fit_into(model, TRAIN, setup(), checkpoint=checkpoint)
    assert not model.features.weight.any()
    checkpoint.unlink()
    fit_into(model, TRAIN, setup(), checkpoint=checkpoint)
    assert model.features.weight.any()
    fit_into(torch.nn.Module(), TRAIN, setup(), checkpoint=checkpoint)  # without a branch


def test_buckets_follow_from_words_and_tags(caplog):
    def buckets(n_words, n_tags, **values):
        return choose_buckets(RunConfig.from_mapping({"tagging": {"features": True}, **values}), n_words, n_tags)

    assert buckets(10, 3) == SMALLEST
    assert buckets(60_000, 13) == 2**18
    assert buckets(10**7, 2, baseline_memory_gb=100) == LARGEST
    assert buckets(10**7, 64, baseline_memory_gb=100) == 2**16
    assert buckets(10, 3, tagging={"features": True, "buckets": 2**10}) == 2**10
    assert buckets(10, 3, tagging={"features": False}) == 0
    with caplog.at_level(logging.WARNING, "vecformer"):
        assert buckets(60_000, 13, baseline_memory_gb=0.5) == 0
    assert "left out: they need about 0.8 GB of memory (13 tags, 262,144 buckets, 60,000 words)" in caplog.text


@pytest.mark.parametrize("values", [{"regularization": 0.0}, {"buckets": 3}, {"buckets": 2**30}, {"decoding": "best"}])
def test_invalid_values_are_refused(values):
    with pytest.raises(ConfigError, match=f"tagging.{next(iter(values))}"):
        RunConfig.from_mapping({"tagging": values})


def test_scores_are_a_weighted_sum_of_log_probabilities():
    logits, branch = torch.tensor([[2.0, 0.0, 1.0]]), log_p([0.5, 0.25, 0.25])
    (found,) = fused([logits], [branch], (0.5, 2.0))
    torch.testing.assert_close(found, 0.5 * logits.log_softmax(-1) + 2.0 * branch)
    assert fused([logits], None, ()) == [logits]


def test_decoding_and_penalty_decide_the_tags():
    scores = log_p([0.5, 0.4, 0.1], [0.1, 0.1, 0.8])
    assert chosen_tags(scores, setup()) == ["O", "B-person"]
    assert chosen_tags(scores, setup(decoding="constrained")) == ["B-person", "I-person"]
    assert chosen_tags(scores, setup(outside_penalty=0.3)) == ["B-person", "I-person"]
    assert chosen_tags(scores, setup(("ADJ", "NOUN", "VERB"), decoding="constrained")) == ["ADJ", "VERB"]
    assert chosen_tags(scores[:0], setup(decoding="constrained")) == []


class Unsure(torch.nn.Module):
    """The logits of every word are those of the training text: mostly none."""

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor([3.0, 0.0, 0.0]))

    def forward(self, ids, token_types):
        return self.logits.expand(*ids.shape, 3)


def tuned(**values):
    from embeddings import WordTokenizer
    from pipeline.tasks.base import Prepared, Tokenizers

    made, task, model = setup(**values), base.find("tagging"), Unsure()
    if not values.get("features", True):
        made = replace(made, resolved=replace(made.resolved, feature_buckets=0, feature_weights=()))
    else:
        model.features = branch_for(made)
    tokenizer = WordTokenizer().with_vocabulary(["anna", "smith"])
    tokenizers = Tokenizers(tokenizer, len(tokenizer))
    dev = [replace(example, words=("Ann", *example.words[1:])) for example in TRAIN] * 3
    prepared = Prepared(dev, task.encode(dev, tokenizers, made), tokenizers)
    found = task.tune(model, prepared, made)
    scored = replace(made, resolved=found)
    return found, task.measure(dev, task.predict(model, prepared, scored), scored)["f1"]


def test_weights_and_penalty_are_tuned_on_dev():
    found, f1 = tuned(tune_outside=True)
    assert found.feature_weights != DEFAULT
    assert found.feature_weights[1] > found.feature_weights[0]  # the Transformer of this test has learned nothing
    assert f1 > 0.9
    alone, without = tuned(tune_outside=True, features=False)
    assert alone.feature_weights == ()
    assert alone.outside_penalty > 0 and without < f1
    unchanged, f1 = tuned(features=False)
    assert (unchanged.outside_penalty, f1) == (0.0, 0.0)


def test_the_mean_of_neighbouring_values():
    assert smoothed([0.0, 0.0, 5.0, 0.0, 0.0, 0.0]) == [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    assert smoothed([0.5]) == [0.5]


def test_facts_without_features_are_as_before():
    train = Splits("made", tuple(TRAIN), (), (), ())
    resolved = base.find("tagging").resolve(RunConfig.from_mapping({"task": "tagging"}), train)
    assert (resolved.feature_buckets, resolved.feature_weights, resolved.outside_penalty) == (0, (), 0.0)
    assert {"feature_buckets", "feature_weights", "outside_penalty"} <= set(resolved.optional)
    resolved = base.find("tagging").resolve(RunConfig.from_mapping({"task": "tagging", "tagging": {"features": True}}),
                                            train)
    assert (resolved.feature_buckets, resolved.feature_weights) == (SMALLEST, DEFAULT)
