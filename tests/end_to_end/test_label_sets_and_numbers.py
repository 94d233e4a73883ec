"""Multi-label classification and regression in the rest of the product: resuming, benchmark, comparison, engines."""

import json

import pytest
from click.testing import CliRunner

from pipeline import RunConfig, run
from pipeline.benchmark.driver import benchmark
from pipeline.benchmark.grid import Grid
from pipeline.benchmark.store import BenchmarkFolder
from pipeline.cli.main import cli
from tests.conftest import ROOT

DATA = {"multi-label": "hotels", "regression": "ratings"}
TINY = {"model": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1}, "source": "random,dim=8"}


def config(task, **training):
    return RunConfig.from_mapping({"task": task, "data": {"path": str(ROOT / "data" / DATA[task])}, **TINY,
                                   "training": {"epochs": 4, "lr": 1e-2, "checkpoint_seconds": 0, **training}})


class Stop:
    """Interrupts a run when training has reached a fraction."""

    def __call__(self, stage, fraction):
        if stage == "training" and fraction > 0.5:
            raise KeyboardInterrupt


@pytest.mark.parametrize("task", DATA)
def test_an_interrupted_run_resumes_to_the_same_bytes(task, tmp_path):
    whole = run(config(task), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config(task), tmp_path / "cut", progress=Stop())
    cut = run(config(task), tmp_path / "cut", resume=True)
    for name in ("model.safetensors", "predictions.jsonl", "resolved.json", "config.toml"):
        assert (cut.path / name).read_bytes() == (whole.path / name).read_bytes(), name


@pytest.mark.parametrize(("task", "measure", "smaller"), [("multi-label", "micro_f1", False),
                                                         ("regression", "mse", True)])
def test_a_benchmark_compares_sources(task, measure, smaller, tmp_path):
    grid = Grid.from_mapping({
        "sources": ["random", "word2vec,dim=8,epochs=2,min_count=1"], "seeds": 2, "measure": measure,
        "run": {"task": task, "data": {"path": str(ROOT / "data" / DATA[task])}, "model": TINY["model"],
                "training": {"epochs": 2}}})
    made = benchmark(grid, tmp_path / "out", n_jobs=1)
    assert made.summary["n_runs"] == {"planned": 4, "done": 4, "failed": 0}
    assert (made.summary["measure"], made.summary["smaller_is_better"]) == (measure, smaller)
    folder = BenchmarkFolder(made.path)
    for key, record in folder.read().items():
        assert measure in record["test"]
        outcomes = [line["outcome"] for line in folder.predictions_of(key)]
        assert len(outcomes) == record["test"]["n"]
        assert all(0 <= outcome <= 1 for outcome in outcomes)
    assert measure in (made.path / "report.html").read_text()


@pytest.mark.parametrize("task", DATA)
def test_runs_are_compared_inspected_and_explained(task, tmp_path):
    for seed in (1, 2):
        run(RunConfig.from_mapping({"task": task, "data": {"path": str(ROOT / "data" / DATA[task])}, **TINY,
                                    "seed": seed, "training": {"epochs": 1}}), tmp_path / f"run{seed}")
    text = (ROOT / "data" / DATA[task]).glob("test.*").__next__().read_text().splitlines()[1]
    for arguments in (["compare", tmp_path / "run1", tmp_path / "run2"], ["inspect", tmp_path / "run1"],
                      ["inspect", tmp_path / "run1", "--text", text, "--html", tmp_path / "page.html"]):
        told = CliRunner().invoke(cli, list(map(str, arguments)))
        assert told.exit_code == 0, told.output
    assert (tmp_path / "page.html").stat().st_size > 1000


@pytest.mark.parametrize("task", DATA)
def test_every_engine_computes_the_same_loss(task, tmp_path):
    losses = []
    for engine in ("torch", "auto"):
        values = {"task": task, "data": {"path": str(ROOT / "data" / DATA[task])}, "source": "random,dim=8",
                  "model": {**TINY["model"], "dropout": 0.0}, "training": {"epochs": 2, "engine": engine}}
        made = run(RunConfig.from_mapping(values), tmp_path / engine)
        lines = (made.path / "history.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["train_loss"] for line in lines])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_run_without_baselines_has_no_extra_columns(tmp_path):
    """Measures by label are not a column of the summary."""
    told = CliRunner().invoke(cli, [
        "run", "--task", "multi-label", "--data", str(ROOT / "data" / "hotels"), "--source", "random,dim=8", "--epochs",
        "1", "--baselines", "none", "--out", str(tmp_path / "run"), "-q"])
    assert told.exit_code == 0, told.output
    assert "by_label" not in told.output
