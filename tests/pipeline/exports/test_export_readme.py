"""Exported folders carry the card of the run, and metadata that Hugging Face reads."""

import shutil

import pytest
from huggingface_hub import ModelCard

from pipeline import load_run, run
from pipeline.commands.export import export
from pipeline.config import resolve
from pipeline.errors import ExportError

LIBRARIES = {"hf": "transformers", "model2vec": "model2vec", "sentence-transformers": "sentence-transformers",
             "onnx": "onnx"}
SMALL = (("source", "random"), ("model.d_model", 16), ("model.n_heads", 2), ("model.d_ff", 32), ("training.epochs", 1),
         ("baselines", ["none"]))


@pytest.fixture(scope="module")
def small(support, tmp_path_factory):
    """The folder of a small run."""
    return run(resolve(None, [("data.path", str(support)), *SMALL]), tmp_path_factory.mktemp("runs") / "small").path


@pytest.mark.parametrize(("to", "library"), LIBRARIES.items())
def test_the_card_is_exported(to, library, small, tmp_path):
    if to == "onnx":
        pytest.importorskip("onnxruntime")
    made = export(small, tmp_path / "out", to=to, words=100)
    own, read = (ModelCard.load(folder / "README.md") for folder in (small, made.path))
    assert read.data.library_name == library
    expected = own.data.to_dict() | {"library_name": library}
    assert read.data.to_dict() == expected
    assert (made.path / "CARD.md").read_text().strip() == own.text.strip()
    assert "`CARD.md` is the card of the run" in read.text


def test_a_plain_checkpoint_is_described(support, tmp_path):
    made = run(resolve(None, [("data.path", str(support)), *SMALL, ("recipe", "plain"), ("model.like", "bert")]),
               tmp_path / "run")
    exported = export(made.path, tmp_path / "out")
    described = (exported.path / "README.md").read_text()
    assert f"from transformers import AutoTokenizer, {exported.architecture}" in described


def test_a_run_without_a_card(small, tmp_path):
    shutil.copytree(small, tmp_path / "run")
    (tmp_path / "run" / "README.md").unlink()
    assert load_run(tmp_path / "run", verify=False).predict(["A text."])
    made = export(tmp_path / "run", tmp_path / "out", to="model2vec", words=100, verify=False)
    card = ModelCard.load(made.path / "README.md")
    assert (card.data.library_name, card.data.tags) == ("model2vec", ["vecformer"])
    assert not (made.path / "CARD.md").exists()


def test_a_card_that_is_not_text_is_named(small, tmp_path):
    shutil.copytree(small, tmp_path / "run")
    (tmp_path / "run" / "README.md").write_bytes(b"---\nlicense: \xff\xfe\n---\n")
    with pytest.raises(ExportError, match=r"README.md: cannot be read as UTF-8 text"):
        export(tmp_path / "run", tmp_path / "out", to="model2vec", words=100)
    assert not (tmp_path / "out").exists()
