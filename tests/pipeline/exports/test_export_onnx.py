"""Runs exported to ONNX: the folder predicts what the run predicts, without this project."""

import json
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_runs import ARCHITECTURES, DATA, random_run
from tokenizers import Tokenizer

from pipeline.cli.main import cli
from pipeline.commands.export import export
from pipeline.errors import ExportError
from pipeline.exports import onnx as module
from pipeline.exports import onnx_check
from pipeline.exports.standalone.vecformer_onnx import Model
from pipeline.runs.trained import load_run

LANGUAGE_MODELS = ("language-model", "masked-language-model")
TEXTS = st.text(max_size=80) | st.lists(st.sampled_from(
    ["Zebra", "the", "parcel", "arrived", "don't", "3,141", "日本語", "e\u0301te\u0301", "👩‍🚀", "<s>", "\u00ad",
     "\ud800", "New-York", "quokka", "I", "was", "charged", "twice", "."]), max_size=30).map(" ".join)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A function that gives a run, its export and the loaded model by name, made once."""
    root, made = tmp_path_factory.mktemp("runs"), {}

    def get(name):
        if name not in made:
            folder = root / name.replace(" ", "-")
            run = random_run(folder, **ARCHITECTURES[name])
            result = export(run, root / f"{folder.name}-onnx", to="onnx", words=1000)
            made[name] = load_run(run), result, Model(result.path)
        return made[name]

    return get


def close(one, other):
    """Whether two predictions are equal, numbers to 1e-4."""
    if isinstance(one, float):
        return one == pytest.approx(other, abs=1e-4)
    if isinstance(one, dict):
        return all(close(value, other[key]) for key, value in one.items())
    return one == other


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_export_was_compared_on_the_test_texts(exported, name):
    trained, made, _ = exported(name)
    assert made.difference < 1e-4 * max(1, getattr(trained.setup.resolved, "mean", 1))
    assert "test texts of the run" in made.texts
    assert any("the predictions are equal" in line for line in made.lines())


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in LANGUAGE_MODELS])
def test_the_folder_predicts_as_the_run(exported, name):
    """Independent of the comparison of the export: by the public functions, words composed by the run included."""
    trained, _, model = exported(name)
    examples = trained.task.reader.read(trained.config.data, seed=1).test
    contexts = [getattr(example, "context", "") or getattr(example, "text_b", "") for example in examples]
    texts = [list(example.words) if hasattr(example, "words") else getattr(example, "question", None) or example.text
             for example in examples]
    for found, expected in zip(model.predict(texts, contexts), trained.predict_for(examples), strict=True):
        assert close(found, expected)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([name for name in ARCHITECTURES if name not in LANGUAGE_MODELS]),
       texts=st.lists(TEXTS, min_size=1, max_size=3), context=TEXTS)
def test_any_text_has_the_same_prediction(exported, name, texts, context):
    """Texts of words that are exported, or that the run does not know either."""
    trained, _, model = exported(name)
    contexts = [f"{context}."] * len(texts) if name in ("pairs", "question-answering") else [""] * len(texts)
    examples = [trained.example(*pair) for pair in zip(texts, contexts, strict=True)]
    assume(set(trained.prepare(examples).tokenizers.source.vocabulary()) <= set(model.vocabulary))
    for found, expected in zip(model.predict(texts, contexts), trained.predict_for(examples), strict=True):
        assert close(found, expected)


def test_the_vocabulary_has_the_words_of_the_source_and_of_the_test_texts(exported, tmp_path):
    trained, made, model = exported("classification")
    assert {"zebra", "quokka", "über"} <= model.vocabulary.keys()
    assert made.n_words == len(model.vocabulary) - 5
    few = export(tmp_path.parent / made.path.parent.name / "classification", tmp_path / "few", to="onnx", words=0)
    assert (few.n_extra, few.n_words) == (0, len(trained.tokenizer) - 5)


def test_special_tokens_are_added_by_the_tokenizer(exported):
    def tokens(name, *texts):
        tokenizer = Tokenizer.from_file(str(exported(name)[1].path / "tokenizer.json"))
        return tokenizer.encode(*texts)

    assert tokens("cls", "the <s> parcel").tokens[0::len(tokens("cls", "the <s> parcel").tokens) - 1] == ["<s>", "</s>"]
    assert tokens("cls", "<s>").ids.count(2) == 1  # "<s>" in a text is not a special token
    pair = tokens("pairs", "the", "the the")
    assert pair.tokens == ["<s>", "the", "</s>", "the", "the", "</s>"]
    assert pair.type_ids == [0, 0, 0, 1, 1, 1]
    assert tokens("classification", "the").tokens == ["the"]
    assert tokens("language-model", "the").tokens == ["</s>", "the"]
    assert tokens("masked-language-model", "the <mask>").tokens == ["the", "<mask>"]
    assert len(tokens("cls", "the " * 100).ids) == 60  # data.max_length


def test_language_models_predict_words(exported):
    (following,) = exported("language-model")[2].predict(["once upon a"])
    assert len(following["next"]) == 5
    assert list(following["next"].values()) == sorted(following["next"].values(), reverse=True)
    trained, _, model = exported("masked-language-model")
    text = "the <mask> of the <mask>"
    (found,), (expected,) = model.predict([text]), trained.predict([text])
    assert [pytest.approx(guesses, abs=1e-4) for guesses in expected["guesses"]] == found["guesses"]


def test_the_folder_is_described(exported):
    _, made, _ = exported("tagging")
    names = {file.name for file in made.path.iterdir()}
    assert names == {"model.onnx", "config.json", "tokenizer.json", "README.md", "vecformer_onnx.py",
                     "vecformer_hashing.py", "vecformer_tags.py"}
    assert all(file.stat().st_mode & 0o044 for file in made.path.iterdir())
    config = json.loads((made.path / "config.json").read_text())
    assert config["opset"] == onnx.load(made.path / "model.onnx").opset_import[0].version
    assert f"opset {config['opset']}" in made.lines()[0]
    assert config["checked"]["greatest_difference"] == made.difference
    graph = onnx.load(made.path / "model.onnx").graph
    assert [[dim.dim_param for dim in value.type.tensor_type.shape.dim] for value in graph.input] == [
        ["batch", "length"], ["batch", "length"], ["batch", "length", "features"]]


ALONE = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused}:
            raise ImportError(name + " must not be needed")

sys.meta_path.insert(0, Refused())
sys.argv = ["example"]
"""


@pytest.mark.parametrize("name", ["classification", "pairs", "tagging", "question-answering"])
def test_the_example_of_the_readme_needs_numpy_onnxruntime_and_tokenizers_alone(exported, name):
    _, made, model = exported(name)
    (code,) = re.findall(r"```python\n(.*?)```", (made.path / "README.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 20
    refused = ["torch", "transformers", "sklearn", "scipy", "safetensors", "onnx", "pipeline", "embeddings",
               "transformer", "vecformer"]
    done = subprocess.run([sys.executable, "-I", "-c", ALONE.replace("{refused}", repr(refused)) + code], cwd=made.path,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    inputs = {"classification": (["A text."], []), "pairs": (["A text."], ["Another text."]),
              "tagging": (["Anna lives in Paris."], []),
              "question-answering": (["Where is it?"], ["It is in Paris."])}[name]
    assert done.stdout.strip() == str(model.predict(*inputs)[0])


def test_int8_is_smaller_and_its_agreement_is_reported(exported, tmp_path):
    trained, made, _ = exported("classification")
    run = made.path.parent / "classification"
    told = CliRunner().invoke(cli, ["export", str(run), "--to", "onnx", "--out", str(tmp_path / "out"), "--int8", "-q"])
    assert told.exit_code == 0, told.output
    shown = re.search(r"model_int8.onnx: [\d.]+ MB, the same prediction for ([\d.]+)% of the texts; probabilities or "
                      r"values differ by at most", told.output)
    small, large = (tmp_path / "out" / name for name in ("model_int8.onnx", "model.onnx"))
    assert small.stat().st_size < large.stat().st_size
    texts = [example.text for example in trained.task.reader.read(trained.config.data, seed=1).test]
    one, other = (Model(tmp_path / "out", file.name).predict(texts) for file in (small, large))
    same = np.mean([a["label"] == b["label"] for a, b in zip(one, other, strict=True)])
    assert float(shown[1]) == pytest.approx(100 * same, abs=0.06)


def test_without_the_ngram_branch_the_graph_is_the_transformer_alone(exported, tmp_path):
    _, made, _ = exported("classification")
    alone = export(made.path.parent / "classification", tmp_path / "out", to="onnx", without_ngrams=True)
    assert any("the n-gram branch is left out" in line for line in alone.lines())
    assert [value.name for value in onnx.load(tmp_path / "out" / "model.onnx").graph.input] == ["input_ids"]


@pytest.mark.parametrize(("change", "message"), [
    (lambda graph: graph.embedding.rows.mul_(1.01), "scores differ by"),
    (lambda graph: graph.weight.rows.mul_(float("nan")), "scores differ by nan"),
])
def test_a_graph_with_other_scores_is_not_written(exported, tmp_path, monkeypatch, change, message):
    save, run = module.save_onnx, exported("classification")[1].path.parent / "classification"
    monkeypatch.setattr(module, "save_onnx", lambda graph, path: (change(graph), save(graph, path)))
    with pytest.raises(ExportError, match=rf"the exported model differs from the run .*{message}.*nothing was written"):
        export(run, tmp_path / "out", to="onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "method", "message"), [
    ("cls", "ids", "the token ids differ"), ("pairs", "words", "the token ids differ"),
    ("multi-label", "labelled", "the predictions differ"), ("tagging", "tagged", "the predictions differ"),
])
def test_files_that_predict_otherwise_are_not_written(exported, tmp_path, monkeypatch, name, method, message):
    def changed(self, *args):
        found = getattr(Model, method)(self, *args)
        return {**found, "labels": ["x"], "tags": []} if isinstance(found, dict) else [*found, *found]

    run = exported(name)[1].path.parent / name
    monkeypatch.setattr(onnx_check.Recorder, method, changed, raising=False)
    with pytest.raises(ExportError, match=message):
        export(run, tmp_path / "out", to="onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_the_data_the_texts_are_random_words(exported, tmp_path, monkeypatch):
    names = ("pairs", "tagging", "question-answering", "masked-language-model")
    runs = [exported(name)[1].path.parent / name for name in names]
    monkeypatch.setattr(module, "test_texts", lambda trained: None)
    for run in runs:
        made = export(run, tmp_path / run.name, to="onnx")
        assert "6 texts of random words" in made.texts
        assert made.difference < 1e-4


def test_test_texts_need_the_data_of_the_run(exported):
    trained = exported("cls")[0]
    assert len(module.test_texts(trained).examples) == len(
        (DATA / "support" / "test.tsv").read_text().splitlines()) - 1


def test_missing_packages_and_tasks_are_named(exported, tmp_path, monkeypatch):
    run = exported("cls")[1].path.parent / "cls"
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(ExportError, match=r"onnxruntime missing\): pip install 'vecformer\[onnx\]'"):
        export(run, tmp_path / "out", to="onnx")
    monkeypatch.undo()
    monkeypatch.setattr(module, "TASKS", ("tagging",))
    with pytest.raises(ExportError, match="the task 'classification' cannot be exported to ONNX; the tasks that can"):
        export(run, tmp_path / "out", to="onnx")
    monkeypatch.undo()
    monkeypatch.setattr(module, "LIMIT", 1000)
    with pytest.raises(ExportError, match="the format allows 2 GB; export fewer words than --words 100"):
        export(run, tmp_path / "out", to="onnx", words=100)
    assert list(tmp_path.iterdir()) == []
