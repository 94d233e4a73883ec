"""The whole benchmark on a sample: results, reuse, interruptions, failures."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from markupsafe import escape

from pipeline.benchmark.driver import benchmark
from pipeline.benchmark.grid import Grid
from pipeline.benchmark.store import BenchmarkFolder
from pipeline.errors import ConfigError, DataError, RunFolderError

ROOT = Path(__file__).parents[2]
TINY = {"data": {"path": str(ROOT / "data/support")}, "model": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1},
        "training": {"epochs": 3}}
VECTORS = f"file:{ROOT / 'data/support/vectors.txt'}"
COMMAND = [sys.executable, "-c", "from pipeline.cli.main import main; main()", "benchmark"]


def grid(**values):
    return Grid.from_mapping({"sources": ["random", VECTORS, "word2vec,dim=8,epochs=2"], "seeds": 3,
                              "limit_train": [20, "all"], "run": TINY, **values})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A complete benchmark, run in two processes."""
    out = tmp_path_factory.mktemp("benchmark") / "out"
    return benchmark(grid(), out, n_jobs=2, command="vecformer benchmark g.toml")


def test_every_combination_is_run_and_stored(finished):
    folder = BenchmarkFolder(finished.path)
    records = folder.read()
    assert len(records) == 3 * 2 * 3
    assert finished.summary["n_runs"] == {"planned": 18, "done": 18, "failed": 0}
    for key, record in records.items():
        lines = folder.predictions_of(key, record)
        right = sum(line["outcome"] for line in lines) / len(lines)
        assert right == pytest.approx(record["test"]["accuracy"])
        assert {line["gold"] for line in lines} <= {"billing", "delivery", "product"}
    assert not folder.work.exists()
    assert (finished.path / "report.html").stat().st_size > 10_000
    assert {path.suffix for path in (finished.path / "plots").iterdir()} == {".svg", ".png"}


def test_a_single_run_reproduces_a_result(finished, tmp_path):
    from pipeline import RunConfig, run

    record = next(record for record in BenchmarkFolder(finished.path).read().values() if record["start"] == VECTORS)
    alone = run(RunConfig.from_mapping(record["config"]), tmp_path / "run").metrics
    assert {name: value for name, value in alone["test"].items() if name != "by_label"} == record["test"]
    assert alone["baselines"] == record["baselines"]


def test_only_missing_runs_are_executed(finished):
    before = (finished.path / "results.jsonl").read_bytes()
    summary = (finished.path / "summary.json").read_bytes()
    started = []

    class Counting:
        def run(self, jobs, on_event):
            started.extend(job.name for job in jobs)

    benchmark(grid(), finished.path, executor=Counting(), command="vecformer benchmark g.toml")
    assert started == []
    assert (finished.path / "results.jsonl").read_bytes() == before
    assert (finished.path / "summary.json").read_bytes() == summary
    benchmark(grid(seeds=4), finished.path, executor=Counting())
    assert len(started) == 6
    assert all(name.endswith("seed 4") for name in started)


def test_texts_can_be_omitted_from_the_report(finished):
    key = next(iter(BenchmarkFolder(finished.path).read()))
    texts = [line["text"] for line in BenchmarkFolder(finished.path).predictions_of(key)]
    page = finished.path / "report.html"
    assert any(escape(text) in page.read_text(encoding="utf-8") for text in texts)
    benchmark(grid(), finished.path, n_jobs=2, texts=False)
    assert not any(escape(text) in page.read_text(encoding="utf-8") for text in texts)


def test_failed_runs_are_recorded_and_repeated(tmp_path):
    broken = tmp_path / "vectors.txt"
    broken.write_text("my 1 2\nthe 1 two\n")
    made = grid(sources=["random", f"file:{broken}"], limit_train=["all"])
    first = benchmark(made, tmp_path / "out", n_jobs=2)
    assert first.summary["n_runs"] == {"planned": 6, "done": 3, "failed": 3}
    assert "vectors.txt" in first.summary["failures"][0]["error"]
    again = benchmark(made, tmp_path / "out", n_jobs=2)
    assert again.summary["n_runs"]["failed"] == 3
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert len(lines) == 3 + 3 + 3


def test_a_folder_with_other_files_is_rejected(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunFolderError, match="contains other files"):
        benchmark(grid(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_an_invalid_grid_leaves_no_folder_and_an_unknown_measure_keeps_the_runs(finished, tmp_path):
    with pytest.raises(DataError):
        benchmark(grid(run={"data": {"path": "nowhere.tsv"}}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    before = (finished.path / "results.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        benchmark(grid(measure="acuracy"), finished.path)
    assert (finished.path / "results.jsonl").read_bytes() == before


def test_an_incomplete_last_line_is_removed(finished, tmp_path):
    folder = BenchmarkFolder(tmp_path)
    lines = (finished.path / "results.jsonl").read_bytes().splitlines(keepends=True)
    folder.results.write_bytes(b"".join(lines[:5]) + lines[5][:100])
    assert len(folder.read()) == 5
    assert folder.results.read_bytes() == b"".join(lines[:5])
    folder.results.write_bytes(lines[0] + b"nonsense\n")
    with pytest.raises(RunFolderError, match=r"results\.jsonl:2"):
        folder.read()


def started(out, grid_file):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*COMMAND, str(grid_file), "--jobs", "2", "--out", str(out)], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def test_a_benchmark_killed_at_random_moments_ends_in_the_same_summary(finished, tmp_path):
    file, out = tmp_path / "grid.toml", tmp_path / "out"
    file.write_text(grid().to_toml())
    whole = subprocess.run([*COMMAND, str(file), "--jobs", "2", "--out", str(tmp_path / "whole")], check=True,
                           capture_output=True, text=True)
    assert "verdict" in whole.stdout
    moments = random.Random(5)
    for _ in range(10):
        process = started(out, file)
        time.sleep(moments.uniform(0.5, 6.0))
        process.kill()  # only the benchmark itself, like the out-of-memory killer
        process.communicate()
    last = started(out, file)
    _, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors
    assert (out / "summary.json").read_bytes() == (tmp_path / "whole" / "summary.json").read_bytes()
    assert json.loads((out / "summary.json").read_text())["n_runs"]["done"] == 18


def test_an_interrupt_stops_cleanly_and_names_the_next_step(tmp_path):
    file, out = tmp_path / "grid.toml", tmp_path / "out"
    file.write_text(grid().to_toml())
    process = started(out, file)
    while not (out / "results.jsonl").exists():
        time.sleep(0.1)
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "runs are done and kept; the same command continues" in errors
    assert "Traceback" not in errors
