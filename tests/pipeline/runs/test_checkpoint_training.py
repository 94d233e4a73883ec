"""Training of a checkpoint's folder: equality with ``transformers`` afterwards, what is frozen, the budget."""

import shutil
import time

import pytest
import torch
import transformers
from click.testing import CliRunner

from embeddings.table.safetensors import open_tensors
from pipeline.cli.main import cli
from pipeline.data.features.special_tokens import framed
from pipeline.errors import ConfigError, DataError, PipelineError
from pipeline.runs import checkpoint_training
from pipeline.runs.budget import parse_budget
from pipeline.runs.checkpoint_training import train_checkpoint
from pipeline.runs.tokenizer import read_subwords
from tests.pipeline.commands.tiny_transplants import TEXTS, write_checkpoint

KINDS = [(kind, tied) for kind in ("bert", "roberta", "distilbert", "electra", "gpt2") for tied in (True, False)]
TABLES = {"bert": "bert.embeddings.word_embeddings.weight", "gpt2": "transformer.wte.weight"}
STEPS, BUDGET = 6, 100.0


@pytest.fixture
def few_steps(monkeypatch):
    """Plan six steps, whatever the speed."""
    per_step = checkpoint_training.TRAINING_SHARE * BUDGET / (STEPS + 0.5)
    monkeypatch.setattr(checkpoint_training, "seconds_of_step", lambda *_: per_step)


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}{'' if kind[1] else ', untied'}")
def checkpoint(request, tmp_path):
    kind, tied = request.param
    return write_checkpoint(tmp_path / kind, kind, tied=tied)


def trained(folder, monkeypatch, **options):
    """Train a folder; return the model of this project and what the training did."""
    models, original = [], checkpoint_training.weights_of

    def capture(model, *more):
        models.append(model)
        return original(model, *more)

    monkeypatch.setattr(checkpoint_training, "weights_of", capture)
    return models, train_checkpoint(folder, TEXTS, options.pop("budget", BUDGET), **options)


def tensors(folder):
    opened = open_tensors(folder / "model.safetensors")
    return {name: torch.tensor(opened[name]) for name in opened}


def test_transformers_computes_the_hidden_states_of_the_trained_model(checkpoint, few_steps, monkeypatch):
    before = tensors(checkpoint)
    models, made = trained(checkpoint, monkeypatch)
    assert made.steps == STEPS
    after = tensors(checkpoint)
    assert after.keys() == before.keys()
    tokenizer = read_subwords(str(checkpoint / "tokenizer.json"))
    theirs = transformers.AutoModel.from_pretrained(checkpoint).eval()
    model = models[0].eval()
    is_decoder = hasattr(model, "decoder")
    for text in ["The cat sat on the mat.", "dogs ran on"]:
        ids = tokenizer.encode([text])[0]
        ids = ids if is_decoder else framed(ids)
        with torch.no_grad():
            stack = model.decoder if is_decoder else model.encoder
            ours = stack(torch.tensor(ids.astype("int64"))[None]).hidden
            expected = theirs(torch.tensor(tokenizer.file_ids[ids])[None]).last_hidden_state
        assert (ours - expected).abs().max() <= 1e-5
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(changed) > 0.7 * len(before)


def test_the_scores_of_the_head_are_those_of_transformers(few_steps, monkeypatch, tmp_path):
    """Output rows and their biases are written in the order of the checkpoint."""
    for kind, name in (("bert", "AutoModelForMaskedLM"), ("gpt2", "AutoModelForCausalLM")):
        folder = write_checkpoint(tmp_path / kind, kind, tied=False)
        models, _ = trained(folder, monkeypatch)
        tokenizer = read_subwords(str(folder / "tokenizer.json"))
        theirs = getattr(transformers, name)
        model = theirs.from_pretrained(folder).eval()
        ids = tokenizer.encode(["The cat sat"])[0]
        ours, given = torch.tensor(ids.astype("int64"))[None], torch.tensor(tokenizer.file_ids[ids])[None]
        with torch.no_grad():
            expected = model(given).logits[0]
            found = (models[0].eval()(ours, torch.ones_like(ours, dtype=torch.bool)) if kind == "bert"
                     else models[0].eval()(ours)[0])
        rows = list(range(5, len(tokenizer)))
        assert (found[:, rows] - expected[:, tokenizer.file_ids[rows]]).abs().max() <= 1e-4


@pytest.mark.parametrize("kind", TABLES)
def test_a_frozen_table_keeps_its_bytes(kind, few_steps, monkeypatch, tmp_path):
    folder = write_checkpoint(tmp_path / kind, kind)
    before = tensors(folder)
    trained(folder, monkeypatch, freeze="table")
    after = tensors(folder)
    assert torch.equal(before[TABLES[kind]], after[TABLES[kind]])
    layers = [name for name in before if ".layer." in name or ".h." in name]
    assert sum(not torch.equal(before[name], after[name]) for name in layers) > 0.9 * len(layers)


@pytest.mark.parametrize("kind", TABLES)
def test_a_frozen_body_keeps_its_bytes(kind, few_steps, monkeypatch, tmp_path):
    folder = write_checkpoint(tmp_path / kind, kind)
    before = tensors(folder)
    trained(folder, monkeypatch, freeze="body")
    after = tensors(folder)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert TABLES[kind] in changed
    assert all(name == TABLES[kind] or name.startswith("cls.") for name in changed)


def test_the_loss_falls_within_the_budget_and_is_of_held_out_texts(tmp_path):
    folder = write_checkpoint(tmp_path / "bert")
    began = time.monotonic()
    made = train_checkpoint(folder, TEXTS * 3, 6.0)
    assert time.monotonic() - began < 8
    assert made.steps > 10
    assert made.after < made.before
    assert made.n_held_out == 6
    assert f"{made.steps} steps (masked tokens)" in made.line()


def test_a_budget_that_is_used_up_ends_the_training(tmp_path, monkeypatch):
    folder = write_checkpoint(tmp_path / "gpt2", "gpt2")
    monkeypatch.setattr(checkpoint_training, "seconds_of_step", lambda *_: 1e-4)  # far too fast
    began = time.monotonic()
    made = train_checkpoint(folder, TEXTS, 2.0)
    assert time.monotonic() - began < 4
    assert 0 < made.steps < 20_000 and made.after < made.before


def test_equal_seeds_give_equal_weights(few_steps, tmp_path):
    folder = write_checkpoint(tmp_path / "a")
    shutil.copytree(folder, tmp_path / "b")
    for name in "ab":
        train_checkpoint(tmp_path / name, TEXTS, BUDGET, seed=3)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_a_model_without_a_head_is_trained_too(few_steps, tmp_path):
    folder = write_checkpoint(tmp_path / "bert")
    transformers.AutoModel.from_pretrained(folder).save_pretrained(folder)
    before = tensors(folder)
    train_checkpoint(folder, TEXTS, BUDGET)
    after = tensors(folder)
    assert before.keys() == after.keys()
    assert not torch.equal(before["embeddings.word_embeddings.weight"], after["embeddings.word_embeddings.weight"])
    assert torch.equal(before["pooler.dense.weight"], after["pooler.dense.weight"])


def test_one_text_is_too_few(tmp_path):
    with pytest.raises(DataError, match="at least two lines of text"):
        train_checkpoint(write_checkpoint(tmp_path / "bert"), ["one", " "], 5.0)


def test_an_encoder_needs_a_mask_token(tmp_path):
    folder = write_checkpoint(tmp_path / "bert")
    text = (folder / "tokenizer.json").read_text().replace("[MASK]", "[GAP]")
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(PipelineError, match="no mask token"):
        train_checkpoint(folder, TEXTS, 5.0)


def test_budgets():
    assert [parse_budget(text, "budget") for text in ("90s", "1.5m", "2h")] == [90, 90, 7200]
    with pytest.raises(ConfigError, match="--pretrain-budget = '5': write a number and s, m or h"):
        parse_budget("5", "--pretrain-budget")


def vecformer(*arguments):
    return CliRunner().invoke(cli, ["transplant", *map(str, arguments)])


def test_the_command_trains_and_reports_it(tmp_path):
    folder = write_checkpoint(tmp_path / "bert")
    (tmp_path / "text.txt").write_text("\n".join(TEXTS))
    done = vecformer(folder, "--text", tmp_path / "text.txt", "--method", "mean", "--tokenizer", "wordpiece,size=120",
                     "--pretrain-budget", "4s", "--freeze", "table", "--out", tmp_path / "new")
    assert done.exit_code == 0, done.output
    assert "held-out texts" in done.output
    card = (tmp_path / "new" / "README.md").read_text()
    assert "was trained on the text" in card and "--pretrain-budget 4s --freeze table" in card
    transformers.AutoModel.from_pretrained(tmp_path / "new")


@pytest.mark.parametrize(("kind", "arguments", "message"), [
    ("bert", ["--freeze", "table"], "--freeze is for the training on the text; add --pretrain-budget 10m"),
    ("bert", ["--pretrain-budget", "ten"], "--pretrain-budget = 'ten': write a number and s, m or h"),
    ("bert", ["--pretrain-budget", "9s", "--trim"], "--pretrain-budget is not used with --trim; leave it out"),
    ("xlm-roberta", ["--pretrain-budget", "9s"], "model_type='xlm-roberta' is not supported"),
])
def test_a_mistake_is_one_message(kind, arguments, message, tmp_path):
    folder = write_checkpoint(tmp_path / kind, kind)
    (tmp_path / "text.txt").write_text("\n".join(TEXTS))
    done = vecformer(folder, "--text", tmp_path / "text.txt", *arguments, "--out", tmp_path / "new")
    assert done.exit_code in (1, 2)
    assert message in " ".join(done.output.split())
    assert not (tmp_path / "new").exists()
