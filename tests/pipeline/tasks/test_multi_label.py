"""Multi-label classification: loss, thresholds, predictions, measures, baselines and whole runs."""

import json
import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer
from torch import nn

from embeddings import WordTokenizer
from pipeline import RunConfig, load_run, run
from pipeline.baselines.linear import tfidf_features
from pipeline.baselines.multi_label import most_frequent, one_vs_rest
from pipeline.baselines.selection import TooLargeError
from pipeline.cli.main import cli
from pipeline.data.examples import MultiLabelExample, Splits
from pipeline.errors import ConfigError, DataError
from pipeline.tasks import base
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.tasks.multi_label import MAX_PROBABILITIES, LabelSets
from pipeline.tasks.resolved import Setup
from tests.conftest import ROOT

TASK = base.find("multi-label")
LABELS = ("a", "b", "c")
TOKENIZERS = Tokenizers(WordTokenizer().with_vocabulary(["text", *map(str, range(60))]), 66)
HOTELS = ROOT / "data" / "hotels"


class Parrot(nn.Module):
    """Gives each text the logits of its number, which is the text's second word."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, ids, token_types):
        return self.logits[ids[:, 1] - TOKENIZERS.source.encode(["0"])[0].item()]


def setup(thresholds=(0.5,), labels=LABELS, **data):
    return Setup(RunConfig.from_mapping({"task": "multi-label", "data": data}),
                 LabelSets(labels=labels, thresholds=thresholds))


def examples(*sets):
    return tuple(MultiLabelExample(f"text {i}", None if labels is None else tuple(labels), f"file:{i + 1}")
                 for i, labels in enumerate(sets))


def prepared(rows, made):
    return Prepared(rows, TASK.encode(rows, TOKENIZERS, made), TOKENIZERS)


def splits(train, test=(), dev=()):
    return Splits("made", examples(*train), examples(*dev), examples(*test), ())


def logits(n=12, n_labels=3):
    return torch.randn(n, n_labels, generator=torch.Generator().manual_seed(0))


def test_the_loss_and_its_gradient_are_those_of_binary_cross_entropy():
    rows = examples("ab", "", "c")
    batch = TASK.batch(TASK.encode(rows, TOKENIZERS, setup()), setup(), np.random.default_rng(0))
    assert batch.targets.tolist() == [[0, 1], [-100, -100], [2, -100]]
    model, scores = Parrot(logits(3)), logits(3).requires_grad_()
    loss = TASK.loss(model, batch)
    expected = F.binary_cross_entropy_with_logits(scores, torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 0, 1]]))
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(model.logits.grad, scores.grad)


def test_texts_without_any_label_have_a_loss():
    batch = TASK.batch(TASK.encode(examples("", ""), TOKENIZERS, setup()), setup(), np.random.default_rng(0))
    assert TASK.loss(Parrot(logits(2)), batch).item() == pytest.approx(
        F.binary_cross_entropy_with_logits(logits(2), torch.zeros(2, 3)).item())


def test_a_prediction_has_the_labels_above_their_threshold_and_all_probabilities():
    scores = torch.tensor([[0.4, 0.9, 0.7], [0.1, 0.2, 0.3]]).logit()
    rows = examples("bc", None)
    first, second = TASK.predict(Parrot(scores), prepared(rows, setup()), setup())
    assert first["labels"] == ["b", "c"]
    assert first["probabilities"] == pytest.approx({"a": 0.4, "b": 0.9, "c": 0.7}, abs=1e-6)
    assert first["cross_entropy"] == pytest.approx(-np.log([0.6, 0.9, 0.7]).mean(), abs=1e-6)
    assert (second["labels"], "cross_entropy" in second) == ([], False)
    per_label = setup((0.3, 0.95, 0.05))
    assert [one["labels"] for one in TASK.predict(Parrot(scores), prepared(rows, per_label), per_label)] == [
        ["c", "a"], ["c"]]
    assert TASK.show(rows[0], first) == "b, c\t0.9000, 0.7000\ttext 0"
    assert TASK.show(rows[1], second) == "-\t-\ttext 1"


def test_of_many_labels_the_most_probable_and_the_predicted_ones_are_kept():
    names = tuple(f"label {i:03}" for i in range(MAX_PROBABILITIES + 50))
    many = setup((-1.0,), labels=names)
    scores = logits(1, len(names))
    [prediction] = TASK.predict(Parrot(scores), prepared(examples(None), many), many)
    assert set(prediction["labels"]) == set(prediction["probabilities"]) == set(names)
    few = setup((0.5, *[1.0] * (len(names) - 1)), labels=names)
    [prediction] = TASK.predict(Parrot(scores.index_fill(1, torch.tensor(0), 0.1)), prepared(examples(None), few), few)
    assert prediction["labels"] == ["label 000"]
    assert len(prediction["probabilities"]) <= MAX_PROBABILITIES + 1
    assert "label 000" in prediction["probabilities"]


def test_measures_are_those_of_scikit_learn():
    gold = ["ab", "", "c", "a", "bc", "abc"] * 2
    rows, made = examples(*gold), setup()
    predictions = TASK.predict(Parrot(logits()), prepared(rows, made), made)
    measures = TASK.measure(rows, predictions, made)
    hot = MultiLabelBinarizer(classes=LABELS)
    true, found = hot.fit_transform(gold), hot.transform([one["labels"] for one in predictions])
    assert measures["micro_f1"] == pytest.approx(f1_score(true, found, average="micro"))
    assert measures["loss"] == pytest.approx(
        F.binary_cross_entropy_with_logits(logits(), torch.tensor(true, dtype=torch.float32)).item(), abs=1e-6)
    assert {name: of["support"] for name, of in measures["by_label"].items()} == {"a": 6, "b": 6, "c": 6}


@pytest.mark.parametrize(("rule", "n"), [("dev", 1), ("dev-per-label", 3)])
def test_thresholds_are_tuned_on_dev(rule, n):
    gold = [list(np.array(LABELS)[row > 0.3]) for row in logits().sigmoid().numpy()]
    rows, made = examples(*gold), setup((), label_threshold=rule)
    tuned = TASK.tune(Parrot(logits()), prepared(rows, made), made)
    assert len(tuned.thresholds) == n
    assert TASK.develop(Parrot(logits()), prepared(rows, made), made)["micro_f1"] == 1.0
    assert "by_label" not in TASK.develop(Parrot(logits()), prepared(rows, made), made)
    fixed = setup((0.4,), label_threshold=0.4)
    assert TASK.tune(Parrot(logits()), prepared(rows, fixed), fixed) == fixed.resolved


@pytest.mark.parametrize(("threshold", "dev", "found"), [("dev", ["a"], ()), ("dev-per-label", ["a"], ()),
                                                        ("dev", [], (0.5,)), (0.3, ["a"], (0.3,))])
def test_without_dev_the_threshold_is_a_half(threshold, dev, found):
    config = RunConfig.from_mapping({"task": "multi-label", "data": {"label_threshold": threshold}})
    resolved = TASK.resolve(config, splits(["ab", "", "b"], ["a"], dev))
    assert (resolved.labels, resolved.thresholds) == (("a", "b"), found)


@pytest.mark.parametrize("threshold", ["1.5", "nan", "test"])
def test_a_threshold_is_a_probability(threshold):
    with pytest.raises(ConfigError, match="label_threshold"):
        RunConfig.from_mapping({"data": {"label_threshold": threshold if threshold == "test" else float(threshold)}})


def test_labels_that_training_lacks_are_reported_and_count_as_missed(caplog):
    config = RunConfig(task="multi-label")
    with caplog.at_level(logging.WARNING, "vecformer"):
        resolved = TASK.resolve(config, splits(["ab", "b"], ["ax", "xy"]))
    assert resolved.labels == ("a", "b")
    assert "file:1: labels that are not among the model's labels: 'x' (2), 'y' (1). They do not occur" in caplog.text
    made = setup(labels=("a", "b"))
    rows = examples("ax", "b")
    predictions = TASK.predict(Parrot(torch.tensor([[9.0, -9], [-9, 9]])), prepared(rows, made), made)
    assert TASK.measure(rows, predictions, made)["micro_f1"] == pytest.approx(0.8)


def test_only_unknown_labels_are_refused():
    with pytest.raises(DataError, match=r"file:1: labels .* 'x' \(1\), 'y' \(1\); none of the model's labels occurs"):
        TASK.resolve(RunConfig(task="multi-label"), splits(["ab", "b"], ["x", "y"]))
    with pytest.raises(DataError, match=r"file:2: label that is not among the model's labels: 'b' \(1\); data.labels"):
        TASK.resolve(RunConfig.from_mapping({"task": "multi-label", "data": {"labels": ["a"]}}), splits(["a", "b"]))
    with pytest.raises(DataError, match="no training example has a label"):
        TASK.resolve(RunConfig(task="multi-label"), splits(["", ""]))
    without = splits(["a", ""], [""])  # a test text without any
    assert TASK.resolve(RunConfig(task="multi-label"), without).labels == ("a",)
    with pytest.raises(DataError, match=r"examples have the same labels \('a', 'b'\).*the separator alone"):
        TASK.resolve(RunConfig(task="multi-label"), splits(["ab", "ba"], ["a"]))


def test_one_vs_rest_is_that_of_scikit_learn():
    texts = [f"{one} {other}" for one in ("cat", "dog", "cow") for other in ("runs", "sits", "sleeps", "eats")]
    gold = np.array([["cat" in text, "runs" in text or "sits" in text, False, True] for text in texts])
    [found] = one_vs_rest(texts, gold, [texts], features=tfidf_features(), C=10)
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(texts)
    theirs = OneVsRestClassifier(LogisticRegression(C=10)).fit(vectors, gold[:, :2]).predict_proba(vectors)
    np.testing.assert_allclose(found[:, :2], theirs, rtol=1e-6)
    assert found[:, 2].tolist() == [0] * 12
    assert found[:, 3].tolist() == [1] * 12
    with pytest.raises(TooLargeError):
        one_vs_rest(texts, gold, [texts], features=tfidf_features(), max_gb=1e-9)


def test_the_most_frequent_label_is_predicted_for_every_text():
    assert most_frequent([["a", "b"], ["b"], []], 2) == [["b"], ["b"]]


def config(path=HOTELS, task="multi-label", **more):
    return RunConfig.from_mapping({"task": task, "data": {"path": str(path)}, "source": "glove",
                                   "training": {"epochs": 8, "lr": 3e-3}, **more})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(config(), tmp_path_factory.mktemp("runs") / "hotels")


def test_a_run_learns_the_sample(finished):
    metrics = finished.metrics
    assert metrics["test"]["micro_f1"] > 0.9
    assert metrics["test"]["n"] == 80
    assert set(metrics["test"]["by_label"]) == {"food", "location", "price", "room", "staff"}
    assert set(metrics["baselines"]) == {"majority", "tfidf+logreg", "mean-vectors+logreg"}
    assert metrics["baselines"]["tfidf+logreg"]["micro_f1"] > 0.9 > metrics["baselines"]["majority"]["micro_f1"]
    resolved = json.loads((finished.path / "resolved.json").read_text())
    assert resolved["labels"] == ["food", "location", "price", "room", "staff"]
    assert 0 < resolved["thresholds"][0] < 1
    page = (finished.path / "report.html").read_text()
    assert all(part in page for part in ("precision", "recall", "support", "location"))
    errors = json.loads((finished.path / "sampling_error.json").read_text())
    assert errors.keys() == {"micro_f1", "macro_f1", "subset_accuracy", "loss"}


def test_a_loaded_run_predicts_and_evaluates_as_it_did(finished):
    trained = load_run(finished.path)
    lines = [json.loads(line) for line in (finished.path / "predictions.jsonl").read_text().splitlines()]
    texts = [json.loads(line)["text"] for line in (HOTELS / "test.jsonl").read_text().splitlines()]
    for line, prediction in zip(lines, trained.predict(texts), strict=True):
        assert prediction["labels"] == line["labels"]
        assert prediction["probabilities"] == pytest.approx(line["probabilities"], abs=1e-6)
    told = CliRunner().invoke(cli, ["evaluate", str(finished.path), "--data", str(HOTELS / "test.jsonl"), "--json"])
    assert json.loads(told.output)["micro_f1"] == pytest.approx(finished.metrics["test"]["micro_f1"])


def test_the_command_prints_labels_probabilities_and_text(finished):
    text = "The bed was lovely, but the bill was higher than agreed."
    told = CliRunner().invoke(cli, ["predict", str(finished.path), text]).output
    labels, probabilities, printed = told.rstrip("\n").split("\t")
    assert set(labels.split(", ")) == {"room", "price"}
    assert all(0 < float(one) <= 1 for one in probabilities.split(", "))
    assert printed == text
    read = json.loads(CliRunner().invoke(cli, ["predict", str(finished.path), "--json", text]).output)
    assert (set(read["labels"]), len(read["probabilities"])) == ({"room", "price"}, 5)


def test_int8_predicts_nearly_the_same(finished):
    texts = [json.loads(line)["text"] for line in (HOTELS / "test.jsonl").read_text().splitlines()]
    exact = load_run(finished.path).predict(texts)
    quantized = load_run(finished.path, precision="int8").predict(texts)
    differences = [abs(one["probabilities"][label] - other["probabilities"][label])
                   for one, other in zip(exact, quantized, strict=True) for label in one["probabilities"]]
    assert 0 < np.max(differences) < 0.1


def test_strings_with_a_separator_give_the_same_run_as_lists(tmp_path):
    for part in ("train", "dev", "test"):
        rows = [json.loads(line) for line in (HOTELS / f"{part}.jsonl").read_text().splitlines()]
        rows = [row for row in rows if row["labels"]]
        lines = (f"{row['text']}\t{'|'.join(row['labels'])}\n" for row in rows)
        (tmp_path / f"{part}.tsv").write_text("text\tlabels\n" + "".join(lines))
        (tmp_path / "lists").mkdir(exist_ok=True)
        (tmp_path / "lists" / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = ["--task", "multi-label", "--source", "random,dim=8", "--epochs", "1", "-q"]
    for data, more, out in ((tmp_path, ["--label-separator", "|"], "a"), (tmp_path / "lists", [], "b")):
        told = CliRunner().invoke(cli, ["run", "--data", str(data), *common, *more, "--out", str(tmp_path / out)])
        assert told.exit_code == 0, told.output
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    told = CliRunner().invoke(cli, ["evaluate", str(tmp_path / "a"), "--data", str(tmp_path / "test.tsv")])
    assert "micro_f1" in told.output
