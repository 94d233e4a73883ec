"""Regression: loss, predictions, measures, baselines and whole runs."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, Ridge
from torch import nn

from embeddings import EmbeddingTable, WordTokenizer
from pipeline import RunConfig, load_run, run
from pipeline.baselines import regression as baselines
from pipeline.cli.main import cli
from pipeline.data.examples import RatedExample, Splits
from pipeline.errors import DataError
from pipeline.tasks import base
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.tasks.regression import Scale
from pipeline.tasks.resolved import Setup
from pipeline.word_vectors import StageOne
from tests.conftest import ROOT

TASK = base.find("regression")
SETUP = Setup(RunConfig(task="regression"), Scale(mean=3.0, std=2.0))
TOKENIZERS = Tokenizers(WordTokenizer().with_vocabulary(["text", *map(str, range(60))]), 66)
RATINGS = ROOT / "data" / "ratings"


class Parrot(nn.Module):
    """Gives each text the output of its number, which is the text's second word."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = nn.Parameter(torch.tensor(outputs)[:, None])

    def forward(self, ids, token_types):
        return self.outputs[ids[:, 1] - TOKENIZERS.source.encode(["0"])[0].item()]


def examples(*values):
    return tuple(RatedExample(f"text {i}", value, f"file:{i + 2}") for i, value in enumerate(values))


def prepared(rows):
    return Prepared(rows, TASK.encode(rows, TOKENIZERS, SETUP), TOKENIZERS)


def test_the_loss_is_the_squared_error_of_standardised_values():
    batch = TASK.batch(TASK.encode(examples(1.0, 5.0), TOKENIZERS, SETUP), SETUP, np.random.default_rng(0))
    assert batch.targets.tolist() == [-1.0, 1.0]
    assert batch.targets.dtype == torch.float32
    model = Parrot([0.0, 3.0])
    loss = TASK.loss(model, batch)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 4) / 2)
    assert model.outputs.grad[:, 0].tolist() == pytest.approx([1.0, 2.0])  # 2 (output - target) / 2


def test_predictions_are_in_the_units_of_the_data():
    rows = examples(1.0, None)
    first, second = TASK.predict(Parrot([-1.0, 0.5]), prepared(rows), SETUP)
    assert (first["value"], second["value"]) == (pytest.approx(1.0), pytest.approx(4.0))
    assert TASK.show(rows[1], second) == "4.0000\ttext 1"
    assert TASK.show(rows[1], {"value": -1.25e-9}) == "-1.250e-09\ttext 1"
    assert TASK.show(rows[1], {"value": 3e9}) == "3.000e+09\ttext 1"


def test_outcomes_are_one_for_exact_values_and_a_half_at_one_standard_deviation():
    assert TASK.outcome(4.0, {"value": 4.0, "training_std": 2.0}) == 1.0
    assert TASK.outcome(4.0, {"value": 6.0, "training_std": 2.0}) == 0.5
    assert TASK.outcome(4.0, {"value": 1e300, "training_std": 2.0}) == 0.0
    assert TASK.in_words(4.0, {"value": 6.25, "training_std": 2.0}) == ("4", "6.25")


def test_the_scale_is_that_of_the_training_values():
    splits = Splits("made", examples(1.0, 2.0, 6.0), (), examples(100.0), ())
    resolved = TASK.resolve(RunConfig(task="regression"), splits)
    assert (resolved.mean, resolved.std) == (pytest.approx(3.0), pytest.approx(np.std([1, 2, 6])))


@pytest.mark.parametrize(("values", "message"), [((2.5, 2.5), "all have the value 2.5"),
                                                ((0.1, 0.1, 0.1), "all have the value 0.1"),  # std is 1e-17
                                                ((), "there are none"),
                                                ((1e300, -1e300), "float64 can hold")])
def test_values_without_a_spread_are_refused(values, message):
    with pytest.raises(DataError, match=f"training examples with different values, but .*{message}"):
        TASK.resolve(RunConfig(task="regression"), Splits("made", examples(*values), (), examples(1.0), ()))


def test_ridge_regression_is_that_of_scikit_learn():
    train, test = ["good soup", "bad soup", "good bread", "bad bread"], ["good", "bad"]
    values = np.array([5.0, 1, 6, 2])
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(train)
    expected = Ridge().fit(vectorizer.transform(train), values).predict(vectorizer.transform(test))
    empty = [""] * 4
    found = baselines.ridge_on_tfidf(baselines.Texts(train, empty), values, baselines.Texts(test, empty[:2]))
    np.testing.assert_allclose(found, expected)
    pairs = baselines.Texts(train, ["good soup"] * 4)
    vectorizer.fit([*train, *["good soup"] * 4])
    a, b = vectorizer.transform(train).toarray(), vectorizer.transform(["good soup"] * 4).toarray()
    features = np.hstack([np.abs(a - b), a * b])
    np.testing.assert_allclose(baselines.ridge_on_tfidf(pairs, values, pairs),
                               Ridge().fit(features, values).predict(features), rtol=1e-6)


def test_the_cosine_is_scaled_by_linear_regression():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 20, 4)).astype(np.float32)
    values = random.normal(size=20)
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    expected = LinearRegression().fit(cosines[:, None], values).predict(cosines[:, None])
    means = baselines.Means(first, second)
    np.testing.assert_allclose(baselines.cosine(means, values, means), expected, rtol=1e-4)
    single = baselines.Means(first, np.zeros_like(second))
    assert baselines.cosine(single, values, single) is None
    assert baselines.ridge_on_means(baselines.Means(single.second, single.second), values, single) is None


def test_baselines_are_measured_on_the_test_set():
    words = {"good": 5.0, "fine": 4.0, "bad": 1.0}
    rows = tuple(RatedExample(word, value, "") for word, value in words.items()) * 4
    table = EmbeddingTable.known(list(words), np.array([[1, 0], [0.8, 0], [-1, 0]], np.float32), "here")
    measures = TASK.baselines(Splits("made", rows, (), rows[:3], ()), SETUP, StageOne(WordTokenizer(), table))
    assert list(measures) == ["mean", "tfidf+ridge", "mean-vectors+ridge"]
    assert measures["mean"] == {"pearson": 0.0, "spearman": 0.0, "mse": pytest.approx(np.var([5, 4, 1])), "n": 3}
    assert all(measures[name]["spearman"] == 1.0 for name in ("tfidf+ridge", "mean-vectors+ridge"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = RunConfig.from_mapping({"task": "regression", "data": {"path": str(RATINGS)}, "source": "glove",
                                     "training": {"epochs": 6, "lr": 3e-3}})
    return run(config, tmp_path_factory.mktemp("runs") / "ratings")


def test_a_run_learns_the_sample(finished):
    metrics = finished.metrics
    assert metrics["test"]["pearson"] > 0.9
    assert metrics["test"]["mse"] < metrics["baselines"]["mean"]["mse"] / 2
    assert set(metrics["baselines"]) == {"mean", "tfidf+ridge", "mean-vectors+ridge"}
    page = (finished.path / "report.html").read_text()
    assert "true value" in page
    errors = json.loads((finished.path / "sampling_error.json").read_text())
    assert errors.keys() == {"pearson", "spearman", "mse"}


def test_a_loaded_run_predicts_and_evaluates_as_it_did(finished):
    lines = [json.loads(line) for line in (finished.path / "predictions.jsonl").read_text().splitlines()]
    texts = [line.split("\t")[0] for line in (RATINGS / "test.tsv").read_text().splitlines()[1:]]
    for line, prediction in zip(lines, load_run(finished.path).predict(texts), strict=True):
        assert prediction["value"] == pytest.approx(line["value"], abs=1e-4)
    quantized = load_run(finished.path, precision="int8").predict(texts)
    errors = [abs(one["value"] - line["value"]) for one, line in zip(quantized, lines, strict=True)]
    assert 0 < max(errors) < 1
    told = CliRunner().invoke(cli, ["evaluate", str(finished.path), "--data", str(RATINGS / "test.tsv"), "--json"])
    assert json.loads(told.output) == pytest.approx(finished.metrics["test"], abs=1e-4)


def test_the_command_prints_the_number_and_the_text(finished):
    told = CliRunner().invoke(cli, ["predict", str(finished.path), "The soup was excellent.", "The soup was awful."])
    (good, text), (bad, _) = (line.split("\t") for line in told.output.splitlines())
    assert (float(good) > float(bad) + 3, text) == (True, "The soup was excellent.")


def test_similarities_of_pairs_are_learned(tmp_path):
    """The value is the share of common words, far from 0 and with a large scale."""
    words = ["cat", "dog", "cow", "hen", "pig", "fox"]
    rows = []
    random = np.random.default_rng(0)
    for _ in range(160):
        one, other = random.choice(words, 3, replace=False), random.choice(words, 3, replace=False)
        rows.append(f"{' '.join(one)}\t{' '.join(other)}\t{1000 + 100 * len({*one} & {*other})}\n")
    for part, some in (("train", rows[:130]), ("test", rows[130:])):
        (tmp_path / f"{part}.tsv").write_text("sentence1\tsentence2\tscore\n" + "".join(some))
    config = RunConfig.from_mapping({
        "task": "regression", "data": {"path": str(tmp_path)}, "source": "random,dim=16",
        "model": {"d_model": 32, "n_heads": 2, "d_ff": 32}, "training": {"epochs": 12, "batch_size": 16, "lr": 1e-2}})
    made = run(config, tmp_path / "run")
    assert set(made.metrics["baselines"]) == {"mean", "tfidf+ridge", "mean-vectors+ridge", "cosine"}
    assert made.metrics["test"]["pearson"] > 0.8
    same, different = load_run(made.path).predict(["cat dog cow"] * 2, contexts=["cow dog cat", "hen pig fox"])
    assert same["value"] - different["value"] > 150
    assert 900 < different["value"] < 1350
