import gzip
import json
import shutil
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from pipeline import RunConfig, run
from pipeline.cli.main import cli
from pipeline.errors import ConfigError, RunFolderError
from pipeline.runs.chain import build_model, run_stage_one
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.recipe.choose import setup_for
from pipeline.runs.start.point import start_from
from pipeline.runs.trained import load_run
from pipeline.tasks import base
from pipeline.tasks.resolved import SelfTrained

SMALL = ["--set", "model.d_model=16", "--set", "model.n_heads=2", "--set", "model.d_ff=32", "--epochs", "2",
         "--set", "data.min_count=1", "--set", "data.unseen_words=500"]


def command(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A pretrained encoder; its corpus is a folder of two files, one of them compressed."""
    folder = tmp_path_factory.mktemp("pretrained")
    corpus = folder / "corpus"
    corpus.mkdir()
    lines = [f"the {animal} was {state} and my order was late" for animal in ("fox", "dog", "cat", "hen")
             for state in ("happy", "tired", "lost", "cold", "new")] * 10
    (corpus / "one.txt").write_text("\n".join(lines))
    with gzip.open(corpus / "two.txt.gz", "wt") as file:
        file.write("a refund for the parcel that never came\n" * 20)
    result = command("pretrain", "--corpus", corpus, "--source", "glove,limit=5000", *SMALL, "--out",
                     folder / "encoder")
    assert result.exit_code == 0, result.output
    return folder / "encoder"


def started(encoder, support, **values):
    """An untrained classifier that starts from the encoder, with its vocabulary."""
    config = RunConfig.from_mapping({"init_from": str(encoder), "data": {"path": str(support)}, **values})
    task = base.find(config.task)
    splits = task.reader.read(config.data, seed=1)
    setup = setup_for(config, task, splits)
    return config, task, splits, setup


@pytest.fixture
def model(encoder, support, tmp_path):
    _, task, splits, setup = started(encoder, support)
    stage_one = run_stage_one(setup, task, splits, RunFolder(tmp_path), RunContext())
    made = build_model(setup, task, stage_one)
    start_from(made, stage_one, setup.config)
    return made, stage_one


def test_the_weights_of_the_encoder_are_copied(encoder, model):
    theirs = load_run(encoder).model.encoder.state_dict()
    ours = model[0].encoder.state_dict()
    assert theirs.keys() == ours.keys()
    for name, weight in theirs.items():
        assert name == "embedding.weight" or torch.equal(weight, ours[name]), name


def test_words_have_the_vectors_of_the_run_or_those_of_its_source(encoder, model):
    made, stage_one = model
    before = load_run(encoder)
    rows = {word: row for row, word in enumerate(before.tokenizer.vocabulary())}
    vocabulary = stage_one.tokenizer.vocabulary()
    assert {"order", "refund"} <= rows.keys() & set(vocabulary)
    assert any(word in before.table and word not in rows for word in vocabulary)
    scale = before.embedding.table_scale
    for word, vector in zip(vocabulary, made.encoder.embedding.weight, strict=True):
        if word in rows:
            torch.testing.assert_close(vector, before.embedding.weight[rows[word]])
        elif word in before.table:
            row = torch.tensor(before.table.vectors[before.table.index[word]])
            torch.testing.assert_close(vector, scale * row)


@pytest.mark.parametrize("recipe", ["auto", "plain"])
def test_a_run_starts_from_the_encoder_and_does_not_need_it_later(encoder, support, tmp_path, recipe):
    copy = shutil.copytree(encoder, tmp_path / "encoder")
    result = command("run", "--data", support, "--init-from", copy, "--recipe", recipe, "--epochs", 1, "--out",
                     tmp_path / "run")
    assert result.exit_code == 0, result.output
    parts = json.loads((tmp_path / "run" / "resolved.json").read_text())["parts"]
    assert parts["init-from"]["values"]["model.d_model"] == 16
    assert parts["init-from"]["values"]["model.convolutions"] == [3, 5]
    assert ("ngrams" in parts) == (recipe == "auto")
    shutil.rmtree(copy)
    assert load_run(tmp_path / "run").predict(["my order is late"])[0]["label"]


def test_a_run_can_start_from_a_classifier(encoder, support, tmp_path):
    config = RunConfig.from_mapping({"init_from": str(encoder), "data": {"path": str(support)}, "recipe": "plain",
                                     "training": {"epochs": 1}, "baselines": ["none"]})
    run(config, tmp_path / "first")
    run(replace(config, init_from=str(tmp_path / "first")), tmp_path / "second")
    assert (tmp_path / "second" / "manifest.json").exists()


def test_another_shape_is_refused(encoder, support):
    with pytest.raises(ConfigError, match=r"model\.d_model = '64': with init_from it is that of the run, '16'"):
        started(encoder, support, model={"d_model": 64})


def test_a_decoder_is_no_start_for_an_encoder(support, tmp_path):
    story = tmp_path / "story.txt"
    story.write_text("the fox was happy\n" * 100)
    result = command("run", "--task", "language-model", "--data", story, "--source", "random", *SMALL, "--recipe",
                     "plain", "--out", tmp_path / "decoder")
    assert result.exit_code == 0, result.output
    result = command("run", "--data", support, "--init-from", tmp_path / "decoder", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "the task language-model has no encoder like that of classification" in result.output


def test_a_folder_that_is_no_run_is_refused(support, tmp_path):
    with pytest.raises(RunFolderError):
        started(tmp_path, support)


def test_a_corpus_is_required():
    result = command("pretrain", "--source", "glove")
    assert result.exit_code == 2
    assert "add --corpus FILE or --corpus FOLDER" in result.output


def test_a_folder_with_a_dev_file_is_not_one_corpus(tmp_path):
    (tmp_path / "dev.txt").write_text("a line\n")
    (tmp_path / "trian.txt").write_text("another line\n")
    result = command("pretrain", "--corpus", tmp_path, "--source", "random", "--out", tmp_path / "encoder")
    assert result.exit_code == 1
    assert "no file train" in result.output


def test_self_training_without_a_measure_says_so():
    assert str(SelfTrained(10, 0.0, 0.0, is_used=False)).endswith("could not be measured on held-out labelled texts")
    assert "because it lowers the accuracy" in str(SelfTrained(10, 0.9, 0.8, is_used=False))
