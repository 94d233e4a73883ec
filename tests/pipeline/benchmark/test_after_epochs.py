"""Comparisons after several numbers of epochs of the same runs."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.benchmark.analysis.selection import Results, selected_keys
from pipeline.benchmark.driver import benchmark
from pipeline.benchmark.execution.jobs import Job
from pipeline.benchmark.execution.live_view import BenchmarkProgress
from pipeline.benchmark.execution.one_run import run_job
from pipeline.benchmark.grid import Grid, read_grid
from pipeline.benchmark.plan import make_plan
from pipeline.benchmark.store import BenchmarkFolder
from pipeline.cli.main import cli
from pipeline.config import RunConfig, with_values
from pipeline.errors import ConfigError

DATA = Path(__file__).parents[3] / "data"
RUN = {"data": {"path": str(DATA / "support")},
       "model": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1},
       "training": {"schedule": "constant", "warmup": 0.0, "ema": 0.0, "lr": 0.01}}
MULTI_LABEL = {**RUN, "task": "multi-label", "data": {"path": str(DATA / "hotels")}}


def grid(**values):
    return Grid.from_mapping({"sources": [f"file:{DATA / 'support' / 'vectors.txt'}"], "seeds": 2, "limit_train": [24],
                              "after_epochs": [4, 1, 2], "baselines": False, "run": RUN, **values})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return benchmark(grid(), tmp_path_factory.mktemp("after") / "out")


def outcome(folder, run, epochs, earlier=(), progress=lambda _stage, _fraction: None, *, selects_epoch=False):
    config = RunConfig.from_mapping(with_values(run, [("training.epochs", epochs), ("recipe", "plain")]))
    folder.mkdir(exist_ok=True)
    return run_job(Job("key", "run", config, folder, baselines=False, after_epochs=earlier,
                       selects_epoch=selects_epoch), progress)


def without_times(record):
    return {number: {key: value for key, value in one.items() if key != "seconds"}
            for number, one in record["after_epochs"].items()}


def test_all_comparisons_share_the_runs(finished):
    summary = finished.summary
    assert [one["name"] for one in summary["conditions"]] == [
        f"24 training examples, epochs={n}" for n in (1, 2, 4)]
    assert summary["n_runs"]["planned"] == 2 * 2
    assert summary["n_comparisons"] == 3
    assert [cell["epochs"] for cell in summary["cells"]] == [1, 1, 2, 2, 4, 4]
    assert [cell["steps"] for cell in summary["cells"]] == [2, 2, 4, 4, 8, 8]
    assert [curve["vary"] for curve in summary["size_curves"][::2]] == [{"training.epochs": n} for n in (1, 2, 4)]
    assert all(cell["sampling_error"] > 0 for cell in summary["cells"])


def test_scores_are_those_of_each_number_of_epochs(finished):
    records = BenchmarkFolder(finished.path).read().values()
    for cell, epochs in zip(finished.summary["cells"], (1, 1, 2, 2, 4, 4), strict=True):
        tests = {record["seed"]: record["test"] if epochs == 4 else record["after_epochs"][str(epochs)]["test"]
                 for record in records if record["start"] == cell["start"]}
        assert cell["scores"] == [tests[seed]["accuracy"] for seed in (1, 2)]
    assert len({tuple(cell["scores"]) for cell in finished.summary["cells"]}) > 2  # they differ


@pytest.mark.parametrize("run", [RUN, MULTI_LABEL], ids=["without dev", "thresholds tuned on dev"])
def test_a_shorter_run_at_a_constant_rate_has_the_same_measures(run, tmp_path):
    long = outcome(tmp_path / "long", run, 3, (1, 2)).record
    short = outcome(tmp_path / "short", run, 2, (1,)).record
    assert long["after_epochs"]["2"]["test"] == pytest.approx(short["test"], abs=1e-6)
    assert long["after_epochs"]["2"]["sampling_error"] == pytest.approx(short["sampling_error"], abs=1e-6)
    assert without_times(long)["1"] == without_times(short)["1"]
    assert [point["epoch"] for point in long["curve"]["points"]] == [1, 2, 3]
    assert long["curve"]["points"][2]["value"] == long["test"][long["curve"]["measure"]]


def test_dev_does_not_choose_the_epoch(tmp_path):
    run = with_values(MULTI_LABEL, [("training.lr", 1e-30), ("training.patience", 1)])  # the first epoch is the best
    for earlier in ((1,), ()):
        found = outcome(tmp_path / f"compared{len(earlier)}", run, 6, earlier).record
        assert found["training"]["epochs"] == found["training"]["best_epoch"] == 6
        assert found["dev"]
    alone = outcome(tmp_path / "alone", run, 6, selects_epoch=True).record
    assert alone["training"]["best_epoch"] == 1


def test_an_interrupted_run_keeps_its_earlier_measures(tmp_path):
    def stop(stage, fraction):
        if stage == "training" and fraction > 0.7:
            raise KeyboardInterrupt

    run = with_values(RUN, [("training.checkpoint_seconds", 0)])
    whole = outcome(tmp_path / "whole", run, 4, (1, 2)).record
    with pytest.raises(KeyboardInterrupt):
        outcome(tmp_path / "stopped", run, 4, (1, 2), stop)
    fractions = []
    resumed = outcome(tmp_path / "stopped", run, 4, (1, 2), lambda stage, fraction: fractions.append(
        (stage, fraction))).record
    assert min(fraction for stage, fraction in fractions if stage == "training") >= 0.5
    assert without_times(resumed) == without_times(whole)
    assert resumed["test"] == whole["test"]


def test_costs_include_what_precedes_the_training(tmp_path):
    run = with_values(RUN, [("pretraining.epochs", 30)])
    pretrained = outcome(tmp_path / "pretrained", run, 2, (1,)).record
    plain = outcome(tmp_path / "plain", RUN, 2, (1,)).record
    for seconds in (lambda one: one["costs"]["training"]["seconds"], lambda one: one["after_epochs"]["1"]["seconds"]):
        assert seconds(pretrained) > 2 * seconds(plain)
    assert pretrained["after_epochs"]["1"]["seconds"] < pretrained["costs"]["training"]["seconds"]


def test_names_of_conditions_are_unambiguous():
    made = grid(vary={"pretraining.epochs": [1, 2]}, after_epochs=[1])
    assert [one.name for one in made.conditions] == [
        f"24 training examples, pretraining.epochs={n}, training.epochs=1" for n in (1, 2)]


def test_the_live_view_shows_the_score_of_the_condition(finished):
    plan = make_plan(grid(), command="").to_dict()
    early = "24 training examples, epochs=1"
    plan["runs"] = [run for run in plan["runs"] if run["condition"] == early]
    records = BenchmarkFolder(finished.path).read()
    shown = BenchmarkProgress(plan, records, time.monotonic).best()
    means = {cell["start"]: cell["mean"] for cell in finished.summary["cells"] if cell["condition"] == early}
    assert [(condition, mean, n) for condition, _, mean, n in shown] == [(early, max(means.values()), 2)]


def test_predictions_are_those_at_the_end(finished):
    plan = make_plan(grid(), command="").to_dict()
    records = BenchmarkFolder(finished.path).read().values()
    assert {condition for _, condition, _ in selected_keys(plan, records)} == {"24 training examples, epochs=4"}
    results = Results(plan, records)
    (_, early), _ = results.selected("random", "24 training examples, epochs=1")
    assert early["costs"]["training"]["seconds"] < results.selected(
        "random", "24 training examples, epochs=4")[0][1]["costs"]["training"]["seconds"]
    page = (finished.path / "report.html").read_text(encoding="utf-8")
    assert "Measured during training on the test set" in page
    assert page.count("<summary>random, 24 training examples") == 1  # of the configurations


def test_other_epochs_are_other_runs():
    def keys(**values):
        return {run.key for run in make_plan(grid(**values), command="").runs}

    assert len(keys()) == 4
    assert not keys() & keys(after_epochs=[1, 4])
    assert not keys(after_epochs=[4]) & keys(after_epochs=[], run=with_values(RUN, [("training.epochs", 4)]))


def test_the_option_and_the_file(tmp_path):
    made = grid()
    file = tmp_path / "grid.toml"
    file.write_text(made.to_toml(), encoding="utf-8")
    assert read_grid(file, {}) == made
    arguments = ["benchmark", "--data", str(DATA / "support"), "--source", "random", "--source", "random,dim=8",
                 "--limit-train", "24", "--seeds", "1", "--after-epochs", "2,1", "--set", "model.d_model=16",
                 "--baselines", "none", "--jobs", "1", "--out", str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert [one["name"] for one in summary["conditions"]] == [
        "24 training examples, epochs=1", "24 training examples, epochs=2"]
    assert "--after-epochs 2,1" in summary["command"]


@pytest.mark.parametrize(("values", "message"), [
    ({"after_epochs": [0, 2]}, "after_epochs=0 is not at least 1"),
    ({"after_epochs": [2, 2]}, "after_epochs has a number twice"),
    ({"tune": {"training.lr": [0.1, 0.2]}}, "--after-epochs and --tune cannot be combined"),
    ({"run": {**RUN, "training": {"epochs": 3}}}, "leave out --epochs"),
    ({"vary": {"training.epochs": [1, 2]}}, "leave out --epochs"),
    ({"sources": ["random,dim=8 | training.epochs=2"]}, "leave out --epochs"),
    ({"run": {**RUN, "budget": "5s"}}, "--after-epochs and budget cannot be combined"),
    ({"vary": {"budget": ["5s", "9s"]}}, "--after-epochs and budget cannot be combined"),
    ({"run": {**RUN, "training": 3}}, "training"),
])
def test_refusals(values, message):
    with pytest.raises(ConfigError, match=message):
        grid(**values)


def test_refusal_of_the_option():
    done = CliRunner().invoke(cli, ["benchmark", "--after-epochs", "1,all"])
    assert done.exit_code == 2
    assert "must be numbers of epochs, such as 1,2,4,8" in done.output
