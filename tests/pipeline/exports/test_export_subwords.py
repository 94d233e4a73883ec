"""Exports of runs with subwords: each is compared with its run before it is kept, or refused by name."""

import pytest
from random_runs import ARCHITECTURES, random_run
from transformers import AutoTokenizer

from pipeline.commands.export import export
from pipeline.errors import ExportError
from pipeline.runs.trained import load_run

BERT = {"like": "bert", "d_model": 16, "n_heads": 2, "d_ff": 24}
PLAIN = {
    "bert": {"task": "classification", "data": "support", "model": BERT},
    "bert pairs": {"task": "classification", "data": "pairs", "model": BERT},
    "bert tags": {"task": "tagging", "data": "entities", "model": BERT},
    "bert questions": {"task": "question-answering", "data": "questions", "model": BERT},
    "bert masked": {"task": "masked-language-model", "data": "stories", "model": BERT},
    "gpt2": {"task": "language-model", "data": "stories", "model": {**BERT, "like": "gpt2"}},
}
RUNS = {**ARCHITECTURES, **PLAIN}
TOKENIZERS = ["wordpiece,size=300", "bpe,size=400"]


class Runs(dict):
    """Runs of random weights; each is made when it is first used."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __missing__(self, key):
        name, tokenizer = key
        self[key] = random_run(self.folder / f"run{len(self)}", **RUNS[name], units="subwords", tokenizer=tokenizer)
        return self[key]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("subwords"))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("name", [*PLAIN, "classification", "pairs", "multi-label", "regression",
                                  "question-answering"])
def test_transformers_computes_what_the_run_does(runs, tmp_path, name, tokenizer):
    found = export(runs[name, tokenizer], tmp_path / "exported")
    assert found.difference <= 1e-4
    assert found.n_extra == 0
    run = load_run(runs[name, tokenizer])
    theirs = AutoTokenizer.from_pretrained(tmp_path / "exported", trust_remote_code=True)
    assert sorted(theirs.get_vocab(), key=theirs.get_vocab().get) == list(run.tokenizer.vocabulary())
    if name in PLAIN:
        assert (theirs.pad_token_id, theirs.unk_token_id) == (0, 1)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("name", ["classification", "pairs", "multi-label", "regression", "masked-language-model",
                                  "language-model"])
def test_onnxruntime_computes_what_the_run_does(runs, tmp_path, name, tokenizer):
    pytest.importorskip("onnxruntime")
    assert export(runs[name, tokenizer], tmp_path / "exported", to="onnx").difference <= 1e-3


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("to", ["sentence-transformers", "model2vec"])
@pytest.mark.parametrize("name", ["classification", "tagging", "language-model"])
def test_static_vectors_are_those_of_the_run(runs, tmp_path, name, to, tokenizer):
    found = export(runs[name, tokenizer], tmp_path / "exported", to=to)
    assert found.n_words == len(load_run(runs[name, tokenizer]).tokenizer) - 5
    assert "compared with the run" in found.checked


@pytest.mark.parametrize("name, to, reason", [
    ("classification", "page", "a page cannot split texts into subwords"),
    ("tagging", "hf", r"its own code cannot find the words .* model.like=bert .*tagging.features=false"),
    ("tagging", "onnx", "a model of the task tagging cannot find the words"),
    ("question-answering", "onnx", r"question-answering cannot find the words .* model.like=bert"),
])
def test_formats_without_subwords_are_refused(runs, tmp_path, name, to, reason):
    target = tmp_path / ("page.html" if to == "page" else "exported")
    with pytest.raises(ExportError, match=f"data.units=subwords: .*{reason}.*data.units=words"):
        export(runs[name, TOKENIZERS[0]], target, to=to)
    assert not target.exists()
