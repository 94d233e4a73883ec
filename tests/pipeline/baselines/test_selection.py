"""Which baselines are trained: those that are selected, unless one needs too much memory."""

import json
import logging
from threading import Barrier

import pytest
from click.testing import CliRunner

from pipeline.baselines.selection import TooLargeError, check_selection, recorded_skips, train_selected
from pipeline.cli.main import cli
from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.tasks.base import TASKS, find

SMALL = ["--source", "random,dim=8", "--epochs", "1", "--set", "model.n_layers=1", "--set", "model.d_model=16",
         "--set", "model.n_heads=2", "--set", "model.d_ff=32"]


def config(**values):
    return RunConfig.from_mapping(values)


@pytest.mark.parametrize(("given", "selected"), [
    ("all", ("all",)), ("none", ("none",)), ("a, b+c", ("a", "b+c")), (["a", "b+c"], ("a", "b+c")),
])
def test_names_are_a_list_or_a_string_with_commas(given, selected):
    assert config(baselines=given).baselines == selected


@pytest.mark.parametrize(("selected", "trained"), [
    ("all", ["a", "b+c"]), ("b+c", ["b+c"]), ("b+c,a", ["a", "b+c"]), ("none", []),
])
def test_only_the_selected_ones_are_trained(selected, trained):
    made = []
    train = {name: lambda name=name: made.append(name) or name for name in ("a", "b+c")}
    assert train_selected(config(baselines=selected), train) == {name: name for name in trained}
    assert made == trained


def test_one_that_cannot_be_trained_is_left_out_silently(caplog):
    assert train_selected(config(), {"a": lambda: None, "b": lambda: 1}) == {"b": 1}
    assert not caplog.records


def test_two_at_once_give_the_same_in_the_same_order():
    met = Barrier(2, timeout=30)
    train = {"a": lambda: met.wait() is None, "b": lambda: met.wait() is None or None, "c": lambda: 3, "d": lambda: 4}
    assert list(train_selected(config(), train, at_once=2).items()) == [("a", False), ("c", 3), ("d", 4)]
    train = {name: lambda name=name: name for name in "abcdefgh"}
    assert train_selected(config(), train, at_once=2) == train_selected(config(), train)


def test_an_error_of_one_of_two_at_once_is_raised():
    def broken():
        raise ZeroDivisionError("broken")

    with pytest.raises(ZeroDivisionError, match="broken"):
        train_selected(config(), {"a": lambda: 1, "b": broken, "c": lambda: 1}, at_once=2)


@pytest.mark.parametrize("at_once", [1, 2])
def test_one_that_is_too_large_is_skipped_with_a_message(caplog, at_once):
    def large():
        raise TooLargeError(17.3e9, "10,000 labels, 72,859 features")

    with caplog.at_level(logging.WARNING, "vecformer"), recorded_skips() as skipped:
        assert train_selected(config(baseline_memory_gb=4), {"large": large, "small": lambda: 1},
                              at_once=at_once) == {"small": 1}
    reason = ("it needs about 17.3 GB of memory (10,000 labels, 72,859 features); the limit is 4 GB. Raise it with "
              "--set baseline_memory_gb=18")
    assert [record.getMessage() for record in caplog.records] == [
        f"baseline large skipped: {reason}, or leave it out with --baselines"]
    assert skipped == {"large": reason}


@pytest.mark.parametrize("wrong", ["tfdf+logreg", "majority,tfdf+logreg", "all,majority", "none,majority", ""])
def test_an_unknown_name_is_one_error_that_lists_the_names(wrong):
    task = find("classification")
    with pytest.raises(ConfigError, match=r"the task classification has no baseline .*majority, tfidf\+logreg, "
                                          r"tfidf-chars\+logreg, hashed-ngrams, mean-vectors\+logreg, nearest"):
        check_selection(config(baselines=wrong), task.baseline_names)


def test_a_misspelt_name_is_suggested():
    with pytest.raises(ConfigError, match=r"no baseline 'majorty'\. Did you mean 'majority'\?"):
        check_selection(config(baselines="majorty"), find("classification").baseline_names)


def test_every_task_of_this_package_names_its_baselines():
    assert all(find(name).baseline_names for name in TASKS.available)


def vecformer(*args):
    return CliRunner().invoke(cli, list(map(str, args)))


def test_a_run_without_baselines(tmp_path, support):
    done = vecformer("run", "--data", support, "--baselines", "none", *SMALL, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "majority" not in done.output
    assert "accuracy" in done.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["baselines"] == {}
    assert 'baselines = [\n    "none",\n]' in (tmp_path / "run" / "config.toml").read_text()
    assert "this run" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_with_some_baselines_and_one_that_is_too_large(tmp_path, support):
    done = vecformer("run", "--data", support, "--baselines", "majority,tfidf+logreg", *SMALL, "--set",
                     "baseline_memory_gb=0.00001", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert list(metrics["baselines"]) == ["majority"]
    assert "Baseline tfidf+logreg was skipped" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_with_an_unknown_baseline_leaves_nothing(tmp_path, support):
    done = vecformer("run", "--data", support, "--baselines", "svm", *SMALL, "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert "no baseline 'svm'" in done.output
    assert not list(tmp_path.iterdir())


def test_a_benchmark_trains_the_selected_ones(tmp_path, support):
    done = vecformer("benchmark", "--data", support, "--source", "random,dim=8", "--seeds", "1", "--baselines",
                     "majority", *SMALL[2:], "--jobs", 1, "--out", tmp_path / "out", "-q")
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert records
    assert all(list(record["baselines"]) == ["majority"] for record in records)
    refused = vecformer("benchmark", "--data", support, "--source", "random", "--baselines", "svm", "--out",
                        tmp_path / "other")
    assert refused.exit_code == 2
    assert "no baseline 'svm'" in refused.output
