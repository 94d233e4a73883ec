"""Predictions of other tools, compared with runs."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import accuracy_score, f1_score

from pipeline.benchmark.analysis.statistics import as_family
from pipeline.benchmark.compare_runs import compare
from pipeline.benchmark.other_predictions import parse_predictions
from pipeline.cli.main import cli
from pipeline.errors import ConfigError, DataError
from tests.pipeline.benchmark.test_compare_runs import call, made

SEEDS = range(1, 9)
RIGHT = np.random.default_rng(0).random((len(SEEDS), 40)) < 0.6
GOLD = "yes"


@pytest.fixture
def runs(tmp_path):
    return [made(tmp_path / f"glove{seed}", float(right.mean()), seed, right=right.tolist(), source="glove")
            for seed, right in zip(SEEDS, RIGHT, strict=True)]


def table(path, rows):
    """Write rows with the columns of the first one."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def labels(right):
    return [{"label": "yes" if one else "no", "gold": GOLD} for one in right]


def test_predictions_of_each_seed_are_paired_with_its_run(tmp_path, runs):
    theirs = np.random.default_rng(1).random(RIGHT.shape) < 0.9
    path = table(tmp_path / "svm.csv", [{**row, "seed": seed} for seed, right in zip(SEEDS, theirs, strict=True)
                                        for row in labels(right)])
    found = compare(runs, predictions={"svm": path})
    ours, other = found["groups"]
    assert (other["name"], other["seeds"]) == ("svm", list(SEEDS))
    assert other["scores"] == pytest.approx([accuracy_score([GOLD] * 40, [row["label"] for row in labels(right)])
                                             for right in theirs])
    (one,) = found["comparisons"]
    (expected,) = as_family([np.subtract(other["scores"], ours["scores"])])
    assert (one["verdict"], one["p"]) == (expected.verdict, expected.difference.p) == ("better", one["p"])
    assert sum(one["flips"].values()) == 40


def test_predictions_without_a_seed_are_those_of_every_seed(tmp_path, runs):
    found = compare(runs, "macro_f1", predictions={"rules": table(tmp_path / "rules.csv", labels(RIGHT[0]))})
    score = f1_score([GOLD] * 40, [row["label"] for row in labels(RIGHT[0])], average="macro")
    assert found["groups"][1]["scores"] == pytest.approx([score] * 8)


def test_rows_with_places_may_have_any_order(tmp_path, runs):
    places = [json.loads(line)["where"] for line in (runs[0] / "predictions.jsonl").read_text().splitlines()]
    rows = [{**row, "where": place} for row, place in zip(labels(RIGHT[0]), places, strict=True)]
    path = table(tmp_path / "svm.csv", rows[::-1])
    (group,) = compare(runs[:1], predictions={"svm": path})["groups"][1:]
    assert group["scores"] == [pytest.approx(RIGHT[0].mean())]
    with pytest.raises(DataError, match=r"svm\.csv:42: where is '.*' for a second time; the first is in .*svm\.csv:2"):
        compare(runs[:1], predictions={"svm": table(path, [*rows, rows[0]])})
    with pytest.raises(DataError, match=rf"no row for '{places[-1]}'"):
        compare(runs[:1], predictions={"svm": table(path, rows[:-1])})
    with pytest.raises(DataError, match=r"svm\.csv:2: 'elsewhere:1' is not among"):
        compare(runs[:1], predictions={"svm": table(path, [{**rows[0], "where": "elsewhere:1"}, *rows[1:]])})


def test_misaligned_rows_are_refused_naming_the_first_one(tmp_path, runs):
    rows = labels(RIGHT[0])
    rows[6] = {"label": "yes", "gold": "no"}
    with pytest.raises(DataError, match=r"svm\.csv:8: the gold label is 'no', but that of test example 7 of the run .* "
                                        "is 'yes'"):
        compare(runs[:1], predictions={"svm": table(tmp_path / "svm.csv", rows)})
    with pytest.raises(DataError, match=r"39 predictions, but .* are 40"):
        compare(runs[:1], predictions={"svm": table(tmp_path / "svm.csv", labels(RIGHT[0])[1:])})


@pytest.mark.parametrize(("rows", "message"), [
    ([{"label": "yes"}], "no column 'gold'"), ([{"gold": "yes"}], "no column 'label'"),
    ([{"label": "yes", "gold": "yes", "seed": "1.5"}], "the seed 1.5 is not a whole number"),
    ([{"label": "yes", "gold": "yes", "seed": "77"}], "has predictions for the seeds 77; the runs have 1"),
])
def test_other_tables_are_refused(tmp_path, runs, rows, message):
    with pytest.raises(DataError, match=message):
        compare(runs[:1], predictions={"svm": table(tmp_path / "svm.csv", rows)})


def test_measures_that_need_probabilities_other_tasks_and_taken_names_are_refused(tmp_path, runs):
    path = table(tmp_path / "svm.csv", labels(RIGHT[0]))
    with pytest.raises(ConfigError, match="loss cannot be computed from labels; choose one of accuracy, macro_f1"):
        compare(runs[:1], "loss", predictions={"svm": path})
    with pytest.raises(ConfigError, match="'glove' is the name of a group"):
        compare(runs[:1], predictions={"glove": path})
    with pytest.raises(ConfigError, match="for classification, not for language-model"):
        compare([made(tmp_path / "lm", 90.0, task="language-model")], predictions={"svm": path})


def test_the_command(tmp_path, runs):
    path = table(tmp_path / "svm.csv", labels(RIGHT[0]))
    told = call(*runs, "--predictions", f"svm={path}", "--margin", "2")
    assert told.exit_code == 0, told.output
    assert "svm" in told.output
    wrong = CliRunner().invoke(cli, ["compare", *map(str, runs), "--predictions", str(path)])
    assert wrong.exit_code == 2
    assert "not of the form NAME=FILE" in wrong.output


@pytest.mark.parametrize("text", ["svm", "=a.csv", "svm=", ""])
def test_other_forms_are_refused(text):
    with pytest.raises(ConfigError, match="NAME=FILE"):
        parse_predictions(text)
