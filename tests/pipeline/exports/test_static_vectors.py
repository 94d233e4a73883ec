"""Static vectors in the layouts of model2vec and sentence-transformers: the mean of the words of a text."""

import json
import os
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from random_runs import random_run
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from pipeline.cli.main import cli
from pipeline.commands.export import export
from pipeline.errors import ExportError
from pipeline.exports import static_vectors as module
from pipeline.runs.trained import load_run

SMALL = {"d_model": 16, "n_heads": 2, "d_ff": 24}
FORMATS = {"model2vec": ("", "embeddings"), "sentence-transformers": ("0_StaticEmbedding", "embedding.weight")}
TEXTS = ["Where is my parcel?", "zebra quokka the", "the the New-York", "", "qqqq"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run whose model is wider than its vectors, and one of pairs of texts."""
    root = tmp_path_factory.mktemp("runs")
    return [random_run(root / "single", task="classification", data="support", model=SMALL),
            random_run(root / "pairs", task="classification", data="pairs", model=SMALL, narrow=False)]


def expected_mean(trained, text, vectors):
    """The mean by the words of the run's tokenizer and its own vectors."""
    trained_words = trained.tokenizer.vocabulary()
    found = []
    for word in trained.tokenizer.words(text):
        if word in trained_words[5:] and vectors == "tuned":
            found.append(trained.embedding.weight[trained_words.index(word)].detach().numpy())
        elif word in trained.table.words:  # unseen words, and the vectors before training
            found.append(trained.table.vectors[trained.table.words.index(word)])
        elif word == "über":
            found.append(trained.table.vectors[trained.table.words.index("Über")])
    return np.mean(found, axis=0) if found else np.zeros(trained.table.dim)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("vectors", ["tuned", "start"])
def test_the_layout_needs_safetensors_and_tokenizers_alone(runs, tmp_path, name, vectors):
    for number, run in enumerate(runs):
        made = export(run, tmp_path / f"{number}", to=name, vectors=vectors)
        assert "vectors differ by at most" in made.lines()[1]
        folder = made.path / FORMATS[name][0]
        rows = load_file(folder / "model.safetensors")[FORMATS[name][1]]
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        assert len(rows) == tokenizer.get_vocab_size() == made.n_words + 5
        assert {"zebra", "quokka"} <= tokenizer.get_vocab().keys()
        trained = load_run(run)
        for text, encoding in zip(TEXTS, tokenizer.encode_batch(TEXTS), strict=True):
            known = [number for number in encoding.ids if number != tokenizer.token_to_id("<unk>")]
            found = rows[known].mean(axis=0) if known else np.zeros(made.dim)
            assert np.abs(found - expected_mean(trained, text, vectors)).max() < 1e-5, text
        (module_,) = json.loads((made.path / "modules.json").read_text())
        assert (made.path / module_["path"] / "tokenizer.json").exists()
        assert all(file.stat().st_mode & 0o044 for file in made.path.rglob("*"))


def test_sentence_transformers_loads_the_folder(runs, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    trained = load_run(runs[0])
    for name in FORMATS:
        model = library.SentenceTransformer(str(export(runs[0], tmp_path / name, to=name).path), device="cpu")
        found = model.encode(["parcel zebra", "parcel qqqq"])
        assert np.abs(found[0] - expected_mean(trained, "parcel zebra", "tuned")).max() < 1e-5
        assert np.abs(2 * found[1] - expected_mean(trained, "parcel", "tuned")).max() < 1e-5  # an unknown word is zero


def test_model2vec_loads_the_folder(runs, tmp_path):
    library = pytest.importorskip("model2vec")
    trained = load_run(runs[0])
    model = library.StaticModel.from_pretrained(export(runs[0], tmp_path / "out", to="model2vec").path)
    for text in TEXTS:
        assert np.abs(model.encode([text])[0] - expected_mean(trained, text, "tuned")).max() < 1e-5


@pytest.mark.parametrize("name", FORMATS)
def test_other_vectors_are_not_written(runs, tmp_path, monkeypatch, name):
    save = module.safetensors.numpy.save
    monkeypatch.setattr(module.safetensors.numpy, "save", lambda tensors: save(
        {key: rows * 1.01 for key, rows in tensors.items()}))
    with pytest.raises(ExportError, match="the exported vectors of texts differ from those of the run"):
        export(runs[0], tmp_path / "out", to=name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
@pytest.mark.parametrize("name", ["onnx", "hf", *FORMATS])
def test_paths_need_not_be_utf8(runs, tmp_path, name):
    made = export(runs[0], tmp_path / os.fsdecode(b"caf\xe9"), to=name, words=3, int8=name == "onnx")
    assert [entry.name for entry in tmp_path.iterdir()] == [made.path.name]
    assert any("differ by at most" in line for line in made.lines())


def test_options_of_other_formats_are_refused(runs, tmp_path):
    for to, option in (("model2vec", "--int8"), ("hf", "--int8"), ("sentence-transformers", "--without-ngrams")):
        told = CliRunner().invoke(cli, ["export", str(runs[0]), "--to", to, option, "--out", str(tmp_path / "out")])
        assert told.exit_code == 1
        assert f"{option} is not an option of --to {to}" in told.output
    told = CliRunner().invoke(cli, ["export", str(runs[0]), "--to", "onnx", "--vectors", "start", "--out",
                                    str(tmp_path / "out")])
    assert "--vectors is not an option of --to onnx" in told.output
