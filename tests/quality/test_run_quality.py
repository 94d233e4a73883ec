"""The command: equal data for all columns, resuming, and real results on small data."""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import data_folders
import pytest
import run_quality
from declaration import Row
from from_word_vectors import ROWS, STUDY
from result_store import Store

from pipeline.data.config import DataConfig
from pipeline.data.readers.labelled import LabelledReader

ROOT = Path(__file__).parents[2]
TREC = next(row for row in ROWS if row.name == "trec6")
FEW = Row("trec6, 9 labels", "trec6", 50.0, labels=9)
COLUMNS = ["default", "tfidf", "fasttext-5"]


def lines(folder, part):
    return [json.loads(line) for line in (folder / f"{part}.jsonl").read_text().splitlines()]


def jobs(row, datasets, scratch, seeds=2, results=(), columns=COLUMNS):
    setting = run_quality.Setting(datasets, sys.executable, 1)
    return list(run_quality.missing_jobs(STUDY, [row], columns, seeds, setting, results, scratch))


@pytest.fixture
def measured(monkeypatch):
    """Replace the measurements by a function, and record their keys."""
    keys = []

    def measure(job, _setting):
        keys.append((job.column.name, job.seed))
        return {**job.key, "accuracy": 0.5, "seconds": 1.0}

    monkeypatch.setattr(run_quality, "measure", measure)
    return keys


def run(datasets, out, *, row=TREC, columns=COLUMNS, seeds=2, n_jobs=1):
    setting = run_quality.Setting(datasets, sys.executable, n_jobs)
    return run_quality.run(STUDY, setting, [row], columns, seeds, out)


def test_all_columns_of_a_seed_have_the_same_data(datasets, tmp_path):
    found = jobs(FEW, datasets, tmp_path)
    assert len(found) == 6
    for seed in (1, 2):
        assert len({(job.folder, job.key["data"]) for job in found if job.seed == seed}) == 1
    assert len({job.key["data"] for job in found}) == 2


def test_the_draw_is_that_of_limit_train(datasets, tmp_path):
    folder = data_folders.write_data(FEW, 3, datasets, tmp_path / "few")
    expected = LabelledReader().read(DataConfig(path=str(datasets / "trec6"), limit_train=9), seed=3)
    assert lines(folder, "train") == [{"text": one.text, "label": one.label} for one in expected.train]
    assert lines(folder, "test") == [{"text": one.text, "label": one.label} for one in expected.test]
    assert [row["text"] for row in lines(folder, "unlabelled")] == list(expected.unlabelled)
    assert set(Counter(row["label"] for row in lines(folder, "train")).values()) == {3}
    assert not (folder / "dev.jsonl").exists()


@pytest.mark.parametrize("row", [TREC, FEW])
def test_vecformer_reads_the_files_as_they_were_written(datasets, tmp_path, row):
    folder = data_folders.write_data(row, 1, datasets, tmp_path / "data")
    written = data_folders.read_splits(row, 1, datasets)
    read = LabelledReader().read(DataConfig(path=str(folder)), seed=1)
    for part in ("train", "dev", "test"):
        assert [(one.text, one.label) for one in getattr(read, part)] == [
            (one.text, one.label) for one in getattr(written, part)]
    assert read.unlabelled == written.unlabelled
    assert data_folders.n_examples(folder)["train"] == len(read.train)


def test_bbc_has_500_test_articles():
    row = next(row for row in ROWS if row.name == "bbc, 50 labels")
    first, other = (data_folders.read_splits(row, seed, Path("unused")) for seed in (1, 2))
    assert (len(first.train), len(first.dev), len(first.test), len(first.unlabelled)) == (50, 0, 500, 1577)
    assert {one.text for one in first.test} != {one.text for one in other.test}


def test_a_deterministic_peer_is_measured_once_if_all_seeds_have_the_same_data(datasets, tmp_path):
    found = [(job.column.name, job.seed) for job in jobs(TREC, datasets, tmp_path)]
    assert found == [("default", 1), ("tfidf", 1), ("fasttext-5", 1), ("default", 2), ("fasttext-5", 2)]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupted_command_measures_only_what_is_missing(datasets, tmp_path, measured, monkeypatch, n_jobs):
    complete = run_quality.measure

    def interrupted(job, setting):
        if len(measured) == 3:
            raise KeyboardInterrupt
        return complete(job, setting)

    monkeypatch.setattr(run_quality, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(datasets, tmp_path / "out", n_jobs=n_jobs)
    done = list(measured)
    assert len(Store(tmp_path / "out" / "quality.jsonl").results()) == 3
    monkeypatch.setattr(run_quality, "measure", complete)
    assert run(datasets, tmp_path / "out", n_jobs=n_jobs) == []
    assert len(measured) == 5
    assert not set(done) & set(measured[3:])
    assert run(datasets, tmp_path / "out") == []
    assert len(measured) == 5


def test_changed_data_are_measured_again(datasets, tmp_path, measured):
    run(datasets, tmp_path / "out", columns=["default"])
    with (datasets / "trec6" / "train.tsv").open("a") as file:
        file.write("one more text\ta\n")
    run(datasets, tmp_path / "out", columns=["default"])
    assert measured == [("default", 1), ("default", 2)] * 2


def test_a_failure_is_reported_and_does_not_stop_the_others(datasets, tmp_path, measured, monkeypatch):
    complete = run_quality.measure

    def fails(job, setting):
        if job.column.name == "tfidf":
            raise subprocess.CalledProcessError(3, "peer")
        return complete(job, setting)

    monkeypatch.setattr(run_quality, "measure", fails)
    assert run(datasets, tmp_path / "out") == ["trec6, tfidf, seed 1: failed with exit status 3"]
    assert len(measured) == 4
    assert "| 2 | at least 94 | **no** | 50.00 ± 0.00 (50.00 to 50.00) |" in (
        tmp_path / "out" / "quality.md").read_text()


def test_vecformer_and_a_peer_on_small_data(datasets, tmp_path):
    """The accuracy of logistic regression on words that determine the label is 1."""
    assert run(datasets, tmp_path / "out", columns=["default", "tfidf", "tfidf-characters"], seeds=1) == []
    found = {one["column"]: one for one in Store(tmp_path / "out" / "quality.jsonl").results()}
    assert set(found) == {"default", "tfidf", "tfidf-characters"}
    assert found["tfidf"]["accuracy"] == found["tfidf-characters"]["accuracy"] == 1
    assert round(found["default"]["accuracy"] * 9) == pytest.approx(found["default"]["accuracy"] * 9)
    for one in found.values():
        assert one["seconds"] > 0
        assert one["machine"]
        assert one["examples"] == {"train": 90, "dev": 9, "test": 9}


def test_rows_and_columns_are_selected_by_name():
    assert [row.name for row in run_quality.rows_named(STUDY, "trec6; bbc, 50 labels")] == ["trec6", "bbc, 50 labels"]
    with pytest.raises(argparse.ArgumentTypeError, match="unknown row 'trec'; rows: sst2;"):
        run_quality.rows_named(STUDY, "trec")
    with pytest.raises(argparse.ArgumentTypeError, match="unknown column 'tfid'; columns: default, plain"):
        run_quality.columns_named(STUDY, "default,tfid")


def test_each_study_has_files_of_its_own(tmp_path):
    assert list(run_quality.STUDIES) == ["quality", "pretrained"]
    for name, study in run_quality.STUDIES.items():
        run_quality.write_page(study, tmp_path)
        text = (tmp_path / f"{name}.md").read_text()
        assert text.startswith("# Test accuracy") and f"Generated by `{study.command}` from [{name}.jsonl]" in text


@pytest.mark.parametrize("script", ["run_quality.py", "peers/classify.py"])
def test_each_script_of_quality_prints_its_usage(script):
    done = subprocess.run([sys.executable, ROOT / "quality" / script, "--help"], check=True, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert f"usage: python quality/{script}" in done.stdout
