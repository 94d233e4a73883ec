"""The scripts of the forecast: cut data, stored results, printed hit rates."""

import csv
import json
from pathlib import Path

import forecast_hit_rates
import forecast_runs

from pipeline.benchmark.driver import benchmark
from pipeline.benchmark.forecast.evaluation import evaluate
from pipeline.benchmark.forecast.stored_runs import COLUMNS, settings_of, stored_rows
from pipeline.benchmark.grid import Grid

FINDINGS = Path(__file__).parents[2] / "docs" / "findings" / "2026-11-30-forecast.md"


def rows_in(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_data_are_cut_once_and_alike(support, tmp_path, monkeypatch):
    monkeypatch.setattr(forecast_runs, "LIMITS", {"train": 20, "dev": 5, "test": 10})
    (tmp_path / "dev.tsv").write_text((support / "test.tsv").read_text())
    for name in ("train.tsv", "test.tsv"):
        (tmp_path / name).write_text((support / name).read_text())
    folders = [forecast_runs.prepare(tmp_path.name, tmp_path.parent, tmp_path / f"out{i}" / tmp_path.name)
               for i in range(2)]
    sizes = {part: len(rows_in(folders[0] / f"{part}.jsonl")) for part in forecast_runs.LIMITS}
    assert sizes == {"train": 20, "dev": 5, "test": 10}
    for part in forecast_runs.LIMITS:
        assert (folders[0] / f"{part}.jsonl").read_bytes() == (folders[1] / f"{part}.jsonl").read_bytes()
    marked = folders[0] / "train.jsonl"
    marked.write_text("kept\n")
    forecast_runs.prepare(tmp_path.name, tmp_path.parent, folders[0])
    assert marked.read_text() == "kept\n"


def test_results_are_stored_with_the_features_of_their_sources(support, tmp_path):
    (tmp_path / "data").mkdir()
    data = tmp_path / "data" / "support"
    data.mkdir()
    for name in ("train.tsv", "test.tsv"):
        (data / name).write_text((support / name).read_text())
    (data / "dev.tsv").write_text((support / "test.tsv").read_text())
    grid = Grid.from_mapping({
        "sources": ["glove"], "seeds": 2, "limit_train": [12], "baselines": False,
        "run": {"data": {"path": str(data), "max_length": 32}, "training": {"epochs": 1},
                "model": {"d_model": 8, "n_heads": 2, "d_ff": 8, "n_layers": 1}}})
    benchmark(grid, tmp_path / "support", n_jobs=1, n_threads=1)
    rows = list(forecast_runs.rows_of("support", tmp_path, grid))
    assert [(row["seed"], row["source"]) for row in rows] == [
        (seed, source) for seed in (1, 2) for source in ("random", "glove")]
    assert all(row.keys() == set(COLUMNS) for row in rows)
    assert {row["n_labels"] for row in rows} == {12}
    forecast_runs.write(rows, tmp_path / "stored.csv")
    with (tmp_path / "stored.csv").open(newline="") as file:
        assert [float(row["accuracy"]) for row in csv.DictReader(file)] == [round(row["accuracy"], 4) for row in rows]


def test_the_report_has_the_hit_rates():
    settings = settings_of(stored_rows())
    found, printed = evaluate(settings), forecast_hit_rates.report(settings)
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    for name, key in (("forecast", "forecast"), ("always the same order", "fixed")):
        one = found[key]
        low, high = one["interval"]
        expected = f"{name} {one['hits']} of {one['n']} {one['rate']:.1%} {low:.1%} to {high:.1%}"
        assert any(line.startswith(expected) for line in lines), printed
    above = found["forecast"]["rate"] > found["fixed"]["rate"]
    assert ("The forecast: hit rate above" in printed) == above


def test_the_findings_have_the_output_of_make_forecast():
    """The figures of the documentation are those of the stored results."""
    assert forecast_hit_rates.report(settings_of(stored_rows())) in FINDINGS.read_text(encoding="utf-8")
