"""Prediction sets of trained runs: their error rate, the file they are calibrated with, and the commands."""

import json
import math
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline import RunConfig, load_run, run
from pipeline.cli.main import cli
from pipeline.data.examples import Example
from pipeline.errors import ConfigError, RunFolderError
from pipeline.measures.conformal import smallest_rate
from pipeline.runs.calibration import calibration_scores, measure_sets, quantile_for, with_sets
from pipeline.tasks import base
from tests.conftest import ROOT

TASK = base.find("classification")
WORDS = {"sport": ["ball", "team", "coach", "goal"], "money": ["bank", "share", "price", "profit"],
         "law": ["court", "judge", "trial", "police"]}
SHARED = ["the", "a", "new", "old", "said", "year", "people", "today"]


def texts(n, seed):
    """Texts of words that overlap between labels, so that a model is often wrong."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        label = random.choice(list(WORDS))
        own = random.random(6) < 0.25
        other = random.random(6) < 0.15
        words = [random.choice(WORDS[label]) if mine else random.choice(WORDS[random.choice(list(WORDS))]) if theirs
                 else random.choice(SHARED) for mine, theirs in zip(own, other, strict=True)]
        rows.append(Example(" ".join(words) + f" number {i}", str(label), f"made:{i}"))
    return rows


def write(path, rows):
    path.write_text("text\tlabel\n" + "".join(f"{row.text}\t{row.label}\n" for row in rows))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on a small training set; dev also selects the epoch."""
    folder = tmp_path_factory.mktemp("calibration")
    write(folder / "train.tsv", texts(150, 1))
    write(folder / "dev.tsv", texts(199, 2))
    write(folder / "test.tsv", texts(300, 3))
    return run(config(folder), folder / "run")


def config(folder, **ngrams):
    return RunConfig.from_mapping({
        "data": {"path": str(folder)}, "source": "random,dim=16", "ngrams": ngrams,
        "model": {"d_model": 32, "n_heads": 2, "d_ff": 32}, "training": {"epochs": 10, "batch_size": 16, "lr": 3e-3},
    })


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_over_random_splits_the_error_rate_is_the_stated_one(finished, rate):
    """100 random splits of new texts into calibration and test, with the scores of a trained model."""
    rows = texts(2000, 4)
    predictions = load_run(finished.path).predict_for(rows)
    random, n, errors = np.random.default_rng(0), 400, []
    for _ in range(100):
        order = random.permutation(len(rows))
        known, new = order[:n], order[n:]
        scores = calibration_scores([rows[i] for i in known], [predictions[i] for i in known])
        chosen = with_sets([predictions[i] for i in new], quantile_for(TASK, scores, rate))
        errors.append(measure_sets([rows[i] for i in new], chosen)["error_rate"])
    standard_error = math.sqrt(rate * (1 - rate) * (1 / n + 1 / (len(rows) - n)) / 100)
    # The splits share their texts: the mean also has the sampling error of all 2,000 texts.
    sampling_error = math.sqrt(rate * (1 - rate) / len(rows))
    assert np.mean(errors) == pytest.approx(rate, abs=3 * standard_error + 1 / (n + 1))
    assert 3 * standard_error + 1 / (n + 1) < 2 * sampling_error < 0.02
    assert np.std(errors) == pytest.approx(standard_error * 10, rel=0.35)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_on_new_texts_the_error_rate_of_a_run_is_the_stated_one(finished, rate):
    """Calibrated on the run's own dev set, which early stopping used too."""
    rows = texts(3000, 5)
    measures = load_run(finished.path).evaluate(rows, abstain=rate)
    n = len(load_run(finished.path).calibration)
    assert n == 199
    assert measures["error_rate"] == pytest.approx(rate, abs=3 * math.sqrt(rate * (1 - rate) * (1 / n + 1 / len(rows))))
    assert 0.1 < measures["answered"] < 1
    assert measures["answered_error_rate"] < 1 - measures["accuracy"]


def test_scores_are_those_of_the_gold_label_and_saved_with_the_run(finished, tmp_path):
    """They are those of dev before the n-gram branch is fitted again, to dev as well."""
    once = run(config(finished.path.parent, refit=False), tmp_path / "run")
    trained = load_run(once.path)
    dev = trained.task.reader.read_examples(finished.path.parent / "dev.tsv", trained.setup.data)
    expected = sorted(1 - one["probabilities"][row.label]
                      for row, one in zip(dev, trained.predict_for(dev), strict=True))
    assert trained.calibration == pytest.approx(expected, abs=1e-6)
    assert trained.calibration == load_run(finished.path).calibration
    assert once.metrics["dev"] == finished.metrics["dev"]
    assert once.metrics["test"] != finished.metrics["test"]
    assert "calibration.json" in json.loads((finished.path / "manifest.json").read_text())["files"]


def test_predictions_have_a_set_in_every_format(finished):
    rows = texts(80, 6)
    (finished.path.parent / "some.txt").write_text("\n".join(row.text for row in rows) + "\n")
    arguments = ["predict", str(finished.path), "--file", str(finished.path.parent / "some.txt"), "--abstain", "0.1"]
    lines = [json.loads(line) for line in CliRunner().invoke(cli, [*arguments, "--json"]).output.splitlines()]
    printed = [line.split("\t") for line in CliRunner().invoke(cli, arguments).output.splitlines()]
    assert {len(line["set"]) for line in lines} >= {1, 2}
    for line, (answer, members, text) in zip(lines, printed, strict=True):
        assert line["abstained"] == (len(line["set"]) != 1)
        assert answer == ("abstained" if line["abstained"] else line["label"])
        assert text == line["text"]
        assert members == (", ".join(f"{label} {line['probabilities'][label]:.4f}" for label in line["set"])
                           or "empty set")
    without = json.loads(CliRunner().invoke(cli, ["predict", str(finished.path), "--json", "ball"]).output)
    assert "set" not in without


def test_an_empty_set_is_an_abstention():
    prediction = {"label": "a", "probabilities": {"a": 0.5, "b": 0.5}}
    [found] = with_sets([prediction], 0.2)
    assert (found["set"], found["abstained"]) == ([], True)
    assert TASK.show(Example("text", "", ""), found) == "abstained\tempty set\ttext"


def test_evaluate_prints_the_error_rate_and_the_share_answered(finished):
    told = CliRunner().invoke(cli, ["evaluate", str(finished.path), "--data", str(finished.path.parent / "test.tsv"),
                                    "--abstain", "0.1"])
    values = dict(line.split() for line in told.output.splitlines()[1:])
    assert float(values["error_rate"]) == pytest.approx(0.1, abs=0.08)
    assert 0 < float(values["answered"]) <= 1
    assert values.keys() >= {"accuracy", "answered_error_rate", "set_size"}


@pytest.mark.parametrize(("rate", "message"), [
    ("0", "between 0 and 1"), ("1", "between 0 and 1"), ("nan", "between 0 and 1"),
    ("0.001", "the 199 dev examples of this run cannot guarantee a rate below 0.005"),
])
def test_rates_that_cannot_be_held_are_refused(finished, rate, message):
    told = CliRunner().invoke(cli, ["predict", str(finished.path), "ball", "--abstain", rate])
    assert told.exit_code == 2
    assert message in " ".join(told.output.split())
    assert load_run(finished.path).predict(["ball"], abstain=smallest_rate(199))


def test_a_run_without_dev_says_what_to_do(tmp_path, support):
    config = RunConfig.from_mapping({"data": {"path": str(support)}, "source": "random", "training": {"epochs": 1}})
    made = run(config, tmp_path / "run")
    assert not (made.path / "calibration.json").exists()
    told = CliRunner().invoke(cli, ["predict", str(made.path), "My parcel.", "--abstain", "0.05"])
    assert told.exit_code == 2
    assert "data.dev_share" in told.output
    assert "abstained" not in told.output


def test_other_tasks_have_no_prediction_sets():
    with pytest.raises(ConfigError, match=r"the task tagging has no prediction sets \(only classification has\)"):
        quantile_for(base.find("tagging"), (0.1,), 0.05)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"nonconformity_scores": ["a"]}'])
def test_a_damaged_file_is_one_message(finished, tmp_path, content):
    shutil.copytree(finished.path, tmp_path / "run")
    (tmp_path / "run" / "calibration.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"calibration\.json"):
        load_run(tmp_path / "run")


def test_pairs_and_the_sample_have_sets_too(tmp_path):
    config = RunConfig.from_mapping({"data": {"path": str(ROOT / "data" / "pairs"), "dev_share": 0.25},
                                     "source": "random,dim=8", "training": {"epochs": 1}})
    made = run(config, tmp_path / "run")
    [found] = load_run(made.path).predict(["A man sleeps."], contexts=["A man is awake."], abstain=0.1)
    assert found["abstained"] == (len(found["set"]) != 1)


def test_another_precision_than_that_of_the_scores_is_reported(finished, caplog):
    exact = load_run(finished.path).predict(["the ball"], abstain=0.2)
    assert not caplog.messages
    assert load_run(finished.path, precision="bfloat16").predict(["the ball"], abstain=0.2)[0].keys() == exact[0].keys()
    assert "with --precision bfloat16, their error rate can be another" in caplog.text
