"""Folders and files written by version 0.1.0 before its packages were reorganised (commit 11af91e) are still read.

They hold the names of that time: ``segments``, ``pooling = "first"`` and ``"views"``, ``training.compiled``,
``generation.max_words``. They were made from the samples in ``data/`` with tiny models, by commands such as
``vecformer run --data data/pairs --source random,dim=8 --epochs 3 --set model.d_model=16 --set model.pooling=first``.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from pipeline import load_run
from pipeline.benchmark.grid import Grid
from pipeline.cli.main import cli
from pipeline.config import RunConfig, parse_assignment, resolve
from transformer.checkpoint import current_name
from transformer.models.heads import ClsHead

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "fixtures" / "before_rooms"


def vecformer(*args):
    done = CliRunner().invoke(cli, list(map(str, args)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", ["pairs", "support", "support2"])
def test_a_run_folder_predicts_what_it_did(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    run = load_run(OLD / name)
    expected = [json.loads(line) for line in (OLD / name / "predictions.jsonl").read_text().splitlines()]
    rows = (ROOT / "data" / name.rstrip("2") / "test.tsv").read_text().splitlines()
    columns = rows[0].split("\t")
    texts = [dict(zip(columns, row.split("\t"), strict=True)) for row in rows[1:]]
    contexts = [text["text_b"] for text in texts] if name == "pairs" else []
    found = run.predict([text["text_a" if name == "pairs" else "text"] for text in texts], contexts=contexts)
    for ours, before in zip(found, expected, strict=True):
        assert ours["label"] == before["label"]
        assert ours["probabilities"] == pytest.approx(before["probabilities"], abs=1e-5)
    assert isinstance(run.model.head, ClsHead) == (name == "pairs")


def test_earlier_run_folders_are_evaluated_inspected_and_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert "accuracy" in vecformer("evaluate", OLD / "pairs", "--data", "data/pairs/test.tsv")
    assert "token types" in vecformer("inspect", OLD / "pairs")
    assert "accuracy" in vecformer("compare", OLD / "support", OLD / "support2")


def test_an_earlier_configuration_file_is_read():
    config = resolve(OLD / "config.toml", [])
    assert config == resolve(None, [("recipe", "plain"), ("source", "glove")])
    assert RunConfig.load(OLD / "pairs" / "config.toml").model.pooling == "cls"


@pytest.mark.parametrize(("written", "key", "value"), [
    ("model.segments=3", "token_types", 3), ("model.pooling=first", "pooling", "cls"),
    ("model.pooling=views", "pooling", "mean-max"), ("training.compiled=false", "engine", "torch"),
    ("training.compiled=true", "engine", "auto"), ("generation.max_words=7", "max_tokens", 7),
])
def test_earlier_keys_and_values_mean_the_new_ones(written, key, value):
    config = resolve(None, [parse_assignment(written)])
    assert value in [getattr(getattr(config, section), key, None) for section in ("model", "training", "generation")]


def test_earlier_keys_in_a_grid():
    grid = Grid.from_mapping({"sources": ["random", "random | training.compiled=false"],
                              "vary": {"model.pooling": ["first", "views"]}, "tune": {"generation": {"max_words": 3}}})
    assert grid.vary == {"model.pooling": ("cls", "mean-max")}
    assert grid.tune == {"generation.max_tokens": (3,)}
    assert {key for one in grid.initialisations for key in one.assignments} == {"training.engine"}


def test_an_earlier_benchmark_is_continued(tmp_path, monkeypatch):
    """Every run in the folder is used as it is; the report is written again."""
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "benchmark"
    shutil.copytree(OLD / "benchmark", folder)
    before = (folder / "results.jsonl").read_text()
    shown = vecformer("benchmark", folder / "grid.toml", "--out", folder)
    assert "word2vec" in shown
    assert (folder / "results.jsonl").read_text() == before
    assert (folder / "report.html").exists()


def test_an_unfinished_run_is_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    shutil.copytree(OLD / "unfinished.unfinished", tmp_path / "run.unfinished")
    vecformer("run", "--resume", tmp_path / "run", "-q")
    history = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert len(history) == 60
    assert torch.isfinite(load_run(tmp_path / "run").model.encoder.token_types.weight).all()


def test_names_of_weights():
    assert current_name("encoder.segments.weight") == "encoder.token_types.weight"
    assert current_name("optimizer.encoder.segments.weight.exp_avg") == "optimizer.encoder.token_types.weight.exp_avg"
    assert current_name("encoder.layers.0.attention.query.weight") == "encoder.layers.0.attention.query.weight"


def test_the_earlier_name_of_the_embedding_layer():
    import transformer

    assert transformer.WordEmbedding is transformer.TokenEmbedding


@pytest.mark.parametrize("name", ["pairs", "support"])
def test_the_initial_weights_of_a_seed_are_unchanged(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    vecformer("run", OLD / name / "config.toml", "--epochs", 1, "--out", tmp_path / "run", "-q")
    found, before = (load_file(folder / "start.safetensors") for folder in (tmp_path / "run", OLD / name))
    before = {current_name(key): weight for key, weight in before.items()}
    assert found.keys() == before.keys()
    for key, weight in before.items():
        torch.testing.assert_close(found[key], weight, msg=lambda text, key=key: f"{key}: {text}")
