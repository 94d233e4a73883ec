import json
import logging

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from embeddings import EmbeddingTable, WordTokenizer
from pipeline import RunConfig, run
from pipeline.cli.main import cli
from pipeline.errors import ConfigError
from pipeline.runs.chain import build_model
from pipeline.runs.context import RunContext
from pipeline.runs.pretraining import pretrain
from pipeline.tasks import base
from pipeline.word_vectors import StageOne

WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran"]
TEXTS = ["the cat sat on a mat", "a dog ran", ("the", "dog", "sat"), "on the mat sat a cat"] * 4


def config(**more):
    return base.setup_from(RunConfig.from_mapping({
        "data": {"labels": ["a", "b"]}, "model": {"d_model": 16, "n_heads": 2, "d_ff": 32},
        "pretraining": {"epochs": 8, "lr": 1e-2}, "training": {"batch_size": 4, "freeze_epochs": 3}, **more}))


def stage_one():
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 16)).astype(np.float32)
    return StageOne(WordTokenizer().with_vocabulary(WORDS), EmbeddingTable.known(WORDS, vectors, "here"))


def made(settings):
    torch.manual_seed(0)
    return build_model(settings, base.find(settings.config.task), stage_one())


def pretrained(settings, path, texts=TEXTS):
    model = made(settings)
    torch.manual_seed(0)
    pretrain(settings, model, stage_one(), texts, checkpoint=path / "checkpoint", context=RunContext())
    return model


def test_the_encoder_is_trained_and_nothing_else(tmp_path, caplog):
    caplog.set_level(logging.INFO, "vecformer")
    settings = config()
    before, after = made(settings).state_dict(), pretrained(settings, tmp_path).state_dict()
    assert before.keys() == after.keys()
    for name, weight in before.items():
        still = name.startswith("head.") or name.endswith("table_scale") or "key.bias" in name  # softmax cancels it
        assert torch.equal(weight, after[name]) == still or "key.bias" in name, name
    assert torch.equal(after["encoder.embedding.weight"][0], torch.zeros(16))
    messages = [record.getMessage() for record in caplog.records]
    losses = [float(message.rpartition(" ")[2]) for message in messages if message.startswith("pretraining: ")]
    assert len(losses) == 8
    assert losses[-1] < 0.8 * losses[0]


def test_frozen_vectors_are_unchanged(tmp_path):
    settings = config(embedding={"freeze": True})
    before, after = (model.encoder.embedding.weight for model in (made(settings), pretrained(settings, tmp_path)))
    assert torch.equal(before, after)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    one, again = (pretrained(config(), tmp_path / name).state_dict() for name in ("one", "again"))
    assert all(torch.equal(weight, again[name]) for name, weight in one.items())


def test_a_model_without_an_encoder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"the task 'language-model' has no encoder to pretrain; use --set"):
        pretrained(config(task="language-model"), tmp_path)


def test_words_of_the_unlabelled_text_are_in_the_vocabulary(tmp_path, support):
    settings = {"data": {"path": str(support)}, "training": {"epochs": 1}, "source": "random"}
    plain, with_text = (run(RunConfig.from_mapping({**settings, "pretraining": {"epochs": epochs}}),
                            tmp_path / str(epochs)) for epochs in (0, 1))
    words = [WordTokenizer.load(made.path / "tokenizer.json").vocabulary() for made in (plain, with_text)]
    unlabelled = set(WordTokenizer().count((support / "unlabelled.txt").read_text().splitlines()))
    assert unlabelled <= set(words[1])
    assert not unlabelled <= set(words[0])


def test_the_option_of_the_command(tmp_path, support):
    said = CliRunner().invoke(cli, ["run", "--data", str(support), "--out", str(tmp_path / "made"), "--epochs", "2",
                                    "--pretrain-epochs", "2", "-v"])
    assert said.exit_code == 0, said.output
    assert "pretraining: epoch 2, loss" in said.output
    assert json.loads((tmp_path / "made" / "metrics.json").read_text())["training"]["epochs"] == 2
    assert not (tmp_path / "made" / "pretraining.checkpoint").exists()


def test_translation_pretrains_its_encoder(tmp_path):
    settings = config(task="translation")
    side = stage_one()
    both = StageOne(side.tokenizer, side.table, target=side)
    torch.manual_seed(0)
    model = build_model(settings, base.find("translation"), both)
    decoder = nn.utils.parameters_to_vector(model.decoder.parameters()).clone()
    encoder = nn.utils.parameters_to_vector(model.encoder.parameters()).clone()
    pretrain(settings, model, both, TEXTS[:2], checkpoint=tmp_path / "c", context=RunContext())
    assert torch.equal(decoder, nn.utils.parameters_to_vector(model.decoder.parameters()))
    assert not torch.equal(encoder, nn.utils.parameters_to_vector(model.encoder.parameters()))
