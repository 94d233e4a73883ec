"""Class weights: the inverse of the frequency or a table, in the loss of classification and of tagging."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from pipeline import RunConfig, run
from pipeline.config import in_earlier_names
from pipeline.data.examples import Example, Splits, TaggedExample
from pipeline.errors import ConfigError
from pipeline.runs.chain import build_model, prepare_vectors
from pipeline.runs.context import RunContext
from pipeline.tasks.base import Tokenizers, find
from pipeline.tasks.class_weights import class_weights
from pipeline.tasks.resolved import Setup
from transformer.errors import CheckpointError
from transformer.kernels.engine import use
from transformer.training.state import check_settings, resume_settings

GOLD = ["rare"] * 2 + ["common"] * 10 + ["usual"] * 5
LABELS = ("common", "rare", "unseen", "usual")


def config(weights, **values):
    return RunConfig.from_mapping({"training": {"class_weights": weights, **values.pop("training", {})},
                                   "source": "random,dim=8", **values})


def test_balanced_weights_are_scikit_learns():
    found = dict(zip(LABELS, class_weights(config("balanced"), GOLD, LABELS), strict=True))
    names = np.unique(GOLD)
    expected = dict(zip(names, compute_class_weight("balanced", classes=names, y=GOLD), strict=True))
    assert found == pytest.approx({**expected, "unseen": 1.0})
    assert found["rare"] == pytest.approx(17 / (3 * 2))
    assert sum(found[label] for label in GOLD) == pytest.approx(len(GOLD))


def test_a_table_names_some_labels_and_none_has_no_weights():
    assert class_weights(config({"rare": 4, "usual": 0.5}), GOLD, LABELS) == (1.0, 4.0, 1.0, 0.5)
    assert class_weights(config("none"), GOLD, LABELS) == ()


def test_a_table_without_a_weight_for_the_training_examples_is_refused():
    assert class_weights(config({"rare": 0}), GOLD, LABELS)[1] == 0.0
    with pytest.raises(ConfigError, match="all labels of the training examples have the weight 0"):
        class_weights(config(dict.fromkeys(GOLD, 0)), GOLD, LABELS)


def test_unknown_labels_of_a_table_are_one_error_that_lists_the_labels():
    with pytest.raises(ConfigError, match=r"'Rare', 'odd': no such label\. The labels are 'common', 'rare'"):
        class_weights(config({"Rare": 4, "odd": 1, "usual": 2}), GOLD, LABELS)


@pytest.mark.parametrize("wrong", ["inverse", 3, {"a": -1}, {"a": float("nan")}, {"a": "much"}, [1.0, 2.0],
                                   {"a": 1e308}, {"a": float("inf")}])
def test_other_values_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=r"training\.class_weights"):
        config(wrong)


def test_a_table_is_saved_and_read_again(tmp_path):
    made = config({"a b": 2, "é.f": 0.5})
    made.save(tmp_path / "config.toml")
    assert RunConfig.load(tmp_path / "config.toml") == made


SENTENCES = ["the cat sleeps", "a dog", "the dog barks at the cat", "dogs", "cats and dogs sleep here"]


def labelled():
    return tuple(Example(text, "ab"[i % 3 == 0], f"f:{i}") for i, text in enumerate(SENTENCES * 4))


def tagged():
    examples = []
    for i, text in enumerate(SENTENCES * 4):
        words = tuple(text.split())
        examples.append(TaggedExample(words, tuple("B-X" if word == "dog" else "O" for word in words), f"f:{i}"))
    return tuple(examples)


def prepared(task_name, examples, weights, **values):
    """The task, its setup, its model, and a training batch of all examples."""
    task = find(task_name)
    settings = config(weights, task=task_name, model={"d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 32,
                                                      "dropout": 0.0}, **values)
    splits = Splits("made", examples, (), examples, ())
    setup = Setup(settings, task.resolve(settings, splits))
    stage_one = prepare_vectors(settings, train=task.reader.texts(examples), held_out=[], unlabelled=(),
                                context=RunContext(), shared=None)
    tokenizers = Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer))
    features = task.encode(examples, tokenizers, setup, training=True)
    return task, setup, build_model(setup, task, stage_one).eval(), features


@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize(("name", "examples"), [("classification", labelled()), ("tagging", tagged())])
def test_the_loss_and_its_gradient_are_those_of_pytorch(name, examples, engine):
    task, setup, model, features = prepared(name, examples, "balanced")
    batch = task.batch(features, setup, np.random.default_rng(0))
    with use(engine):
        loss = task.loss(model, batch)
        loss.backward()
    found = {key: weight.grad.clone() for key, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    with use("torch"):
        logits = model(batch.ids, batch.token_types)
        weights = torch.tensor(setup.resolved.label_weights)
        expected = F.cross_entropy(logits.flatten(0, -2), batch.targets.flatten(), weight=weights, ignore_index=-100)
        expected.backward()
    assert len(weights.unique()) > 1
    torch.testing.assert_close(loss, expected)
    for key, weight in model.named_parameters():
        if key in found:
            torch.testing.assert_close(found[key], weight.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("name", "examples"), [("classification", labelled()), ("tagging", tagged())])
def test_parts_of_a_batch_add_up_to_the_weighted_mean(name, examples):
    """Gradient accumulation and several processes weigh each part by its targets: here by their weights."""
    task, setup, model, features = prepared(name, examples, {"b": 5.0} if name == "classification" else {"B-X": 5.0})
    whole, *parts = (task.batch(some, setup, np.random.default_rng(0))
                     for some in (features, features[:7], features[7:]))
    assert whole.n_targets == pytest.approx(sum(part.n_targets for part in parts))
    total = sum(task.loss(model, part) * part.n_targets for part in parts) / whole.n_targets
    torch.testing.assert_close(total, task.loss(model, whole))


def test_without_weights_nothing_changes():
    task, setup, _, features = prepared("classification", labelled(), "none")
    batch = task.batch(features, setup, np.random.default_rng(0))
    assert batch.label_weights is None
    assert batch.n_targets == len(features)


def test_a_run_finds_rare_labels_with_weights_and_saves_them(tmp_path):
    """One word in five decides for the rare label, and one in two texts with it has it."""
    drawn = np.random.default_rng(0)
    lines = ["text\tlabel"]
    for i in range(400):
        sign = i % 5 == 0
        label = "rare" if sign and drawn.random() < 0.4 else "common"
        lines.append(f"text {'bad' if sign else 'good'} number {i % 7}\t{label}")
    (tmp_path / "data.tsv").write_text("\n".join(lines) + "\n")
    recall = {}
    for weights in ("none", "balanced"):
        made = run(RunConfig.from_mapping({
            "data": {"path": str(tmp_path / "data.tsv"), "dev_share": 0}, "source": "random,dim=8", "baselines": "none",
            "model": {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32},
            "training": {"class_weights": weights, "epochs": 6, "lr": 0.01}}), tmp_path / weights)
        recall[weights] = made.metrics["test"]["by_label"]["rare"]["recall"]
    assert recall["balanced"] > 0.9 > 0.1 > recall["none"]
    resolved = json.loads((tmp_path / "balanced" / "resolved.json").read_text())
    counts = Counter(line.rpartition("\t")[2] for line in lines[1:])
    assert resolved["label_weights"][1] / resolved["label_weights"][0] == pytest.approx(
        counts["common"] / counts["rare"], rel=0.2)
    assert "label_weights" not in json.loads((tmp_path / "none" / "resolved.json").read_text())


def test_unknown_labels_stop_a_run_before_training(tmp_path, support):
    with pytest.raises(ConfigError, match=r"'spam': no such label\. The labels are 'billing', 'delivery'"):
        run(config({"spam": 2}, data={"path": str(support)}), tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("weights", ["balanced", {"billing": 2.0}])
def test_a_checkpoint_is_of_its_weights(weights):
    model = torch.nn.Linear(1, 1)
    with_weights, without = (resume_settings(model, config(one).training, n_processes=1) for one in (weights, "none"))
    assert json.loads(json.dumps(with_weights)) == with_weights
    check_settings(with_weights, with_weights, Path("run"))
    assert "training.class_weights" not in without  # as in checkpoints of earlier versions
    with pytest.raises(CheckpointError, match=r"training\.class_weights was missing"):
        check_settings(without, with_weights, Path("run"))


def test_the_identity_of_a_benchmarks_run_is_that_of_before_without_weights():
    assert "class_weights" not in in_earlier_names(asdict(config("none")))["training"]
    assert in_earlier_names(asdict(config({"a": 2})))["training"]["class_weights"] == {"a": 2.0}
