"""Runs that are neither BERT nor GPT-2, exported with the code of the model: transformers alone predicts the same."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_runs import ARCHITECTURES, random_run
from safetensors.torch import load_file

from embeddings.tokenization.ngrams import NgramHasher
from pipeline.commands.export import export
from pipeline.errors import ExportError
from pipeline.exports import huggingface_code as module
from pipeline.exports.standalone.tokenization_vecformer import VecformerTokenizer
from pipeline.exports.vocabulary import extended
from pipeline.runs.trained import load_run
from pipeline.tasks.base import Tokenizers

NAMES = ["classification", "cls", "pairs", "multi-label", "regression", "tagging", "question-answering"]
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(
    ["Zebra", "the", "parcel", "don't", "3,141", "日本語", "e\u0301te\u0301", "<s>", "\u00ad", "New-York", "quokka",
     "."]), max_size=25).map(" ".join)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A function that gives a run and its export by name, made once."""
    root, made = tmp_path_factory.mktemp("runs"), {}

    def get(name):
        if name not in made:
            run = random_run(root / name, **ARCHITECTURES[name])
            made[name] = run, export(run, root / f"{name}-hf", words=1000)
        return made[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_is_compared_with_its_run(exported, name):
    run, made = exported(name)
    scale = load_run(run).setup.resolved
    assert made.difference < 1e-4 * max(1, abs(getattr(scale, "mean", 1)))
    assert "trust_remote_code=True" in made.lines()[1]
    assert "test texts of the run" in made.lines()[-1]


ALONE = """
import json, sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("embeddings", "transformer", "pipeline", "vecformer"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Without())
import transformers

root, texts = sys.argv[1], json.loads(sys.argv[2])
found = {}
for name in ("classification", "pairs"):
    given = [{"text": a, "text_pair": b} for a, b in texts[name]] if name == "pairs" else texts[name]
    pipe = transformers.pipeline("text-classification", model=f"{root}/{name}-hf", trust_remote_code=True, top_k=None)
    found[name] = [{one["label"]: one["score"] for one in row} for row in pipe(given, batch_size=4)]
pipe = transformers.pipeline("token-classification", model=f"{root}/tagging-hf", trust_remote_code=True)
found["tagging"] = [[(one["start"], one["entity"]) for one in row] for row in pipe(texts["tagging"], batch_size=2)]
tokenizer = transformers.AutoTokenizer.from_pretrained(f"{root}/question-answering-hf", trust_remote_code=True)
model = transformers.AutoModelForQuestionAnswering.from_pretrained(f"{root}/question-answering-hf",
                                                                   trust_remote_code=True)
question, context = texts["question"]
output = model(**tokenizer(question, context, return_tensors="pt"))
found["question"] = [output.start_logits[0].tolist(), output.end_logits[0].tolist()]
print(json.dumps(found))
"""


def test_transformers_alone_predicts_as_the_run(exported, tmp_path):
    """In a process without this project, by the pipelines of transformers."""
    runs = {name: load_run(exported(name)[0]) for name in ("classification", "pairs", "tagging", "question-answering")}
    examples = {name: one.task.reader.read(one.config.data, seed=1).test[:8] for name, one in runs.items()}
    texts = {"classification": [one.text for one in examples["classification"]],
             "pairs": [(one.text, one.text_b) for one in examples["pairs"]],
             "tagging": ["Zebra the Anna.", "the"], "question": ("the the ?", "the of the zebra zebra unknownword")}
    done = subprocess.run([sys.executable, "-I", "-c", ALONE, str(exported("pairs")[1].path.parent), json.dumps(texts)],
                          cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
                          env={"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin"})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name in ("classification", "pairs"):
        for row, expected in zip(found[name], runs[name].predict_for(examples[name]), strict=True):
            assert row == pytest.approx(expected["probabilities"], abs=1e-4)
    trained = runs["question-answering"]
    prepared = trained.prepare([trained.example(*texts["question"])])
    (feature,) = prepared.features
    with torch.inference_mode():
        scores = trained.model(torch.from_numpy(feature.ids.astype(np.int64))[None],
                               torch.from_numpy(feature.token_types.astype(np.int64))[None])[0]
    assert np.abs(np.array(found["question"]).T - scores.numpy()).max() < 1e-4
    assert len(found["tagging"]) == 2


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NAMES), text=TEXTS, other=TEXTS)
def test_any_text_has_the_same_inputs(exported, name, text, other):
    """Ids, token types and n-grams of texts that fit into one window, by the encoding of the run."""
    run, made = exported(name)
    trained = load_run(run, verify=False)
    theirs = VecformerTokenizer.from_pretrained(made.path)
    tokenizer = extended(trained.tokenizer, list(theirs.convert_ids_to_tokens(range(len(trained.tokenizer),
                                                                                    len(theirs)))))
    second = f"{other}." if name in ("pairs", "question-answering") else ""
    features = trained.task.encode([trained.task.reader.example(text, second)],
                                   Tokenizers(tokenizer, len(trained.tokenizer)), trained.setup)
    if len(features) > 1 or len(features[0].ids) > trained.config.data.max_length:
        return
    read = theirs(text, second or None, truncation=True)
    if features[0].ids.tolist() == read["input_ids"] or name != "question-answering":  # else truncated otherwise
        assert read["input_ids"] == features[0].ids.tolist()
        if features[0].token_types is not None:
            assert read["token_type_ids"] == features[0].token_types.tolist()
    if "ngram_buckets" in read:
        config = trained.config.ngrams
        counts = NgramHasher(config.words, config.characters, config.buckets).counts([f"{text} {second}".strip()])
        found = dict(zip(read["ngram_buckets"], read["ngram_counts"], strict=True))
        found.pop(0) if found.get(0) == 0 else None
        assert found == dict(zip(counts.indices.tolist(), counts.data.tolist(), strict=True))


def test_padding_changes_nothing_and_the_loss_is_differentiable(exported):
    from pipeline.exports.standalone.modeling_vecformer import VecformerForSequenceClassification as Model

    for name in ("classification", "cls", "multi-label"):
        path = exported(name)[1].path
        tokenizer, model = VecformerTokenizer.from_pretrained(path), Model.from_pretrained(path).eval()
        texts = ["the parcel", "Where is my parcel? The zebra was charged twice."]
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        padded = tokenizer.pad([tokenizer(text) for text in texts], return_tensors="pt")
        assert {key: value.tolist() for key, value in batch.items()} == {key: value.tolist() for key, value
                                                                         in padded.items()}
        with torch.inference_mode():
            single = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in texts])
            torch.testing.assert_close(model(**batch).logits, single, atol=1e-5, rtol=0)
        labels = torch.ones(2, model.config.num_labels) if name == "multi-label" else torch.tensor([0, 1])
        model(**batch, labels=labels).loss.backward()
        assert all(weight.grad is not None for weight in model.encoder.layers.parameters())


def test_the_model_names_the_inputs_that_are_missing(exported):
    from pipeline.exports.standalone import modeling_vecformer as code

    ids = torch.tensor([[5, 6]])
    with pytest.raises(ValueError, match="needs ngram_buckets and ngram_counts, which its own tokenizer returns"):
        code.VecformerForSequenceClassification.from_pretrained(exported("classification")[1].path)(ids)
    with pytest.raises(ValueError, match="needs feature_buckets, which its own tokenizer returns"):
        code.VecformerForTokenClassification.from_pretrained(exported("tagging")[1].path)(ids)
    with pytest.raises(ValueError, match="give texts as strings"):
        VecformerTokenizer.from_pretrained(exported("tagging")[1].path)([["a", "list"], ["of", "words"]],
                                                                        is_split_into_words=True)


def test_the_folder_is_complete_and_the_same_without_transformers(exported, tmp_path, monkeypatch):
    run, made = exported("pairs")
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
             "README.md", *(f"{name}.py" for name in module.FILES)}
    assert {file.name for file in made.path.iterdir()} == names
    assert all(file.stat().st_mode & 0o044 for file in made.path.iterdir())
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    again = export(run, tmp_path / "out", words=1000)
    assert "not compared with the run, because transformers is not installed" in again.lines()[-1]
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (made.path / name).read_bytes(), name


def test_without_the_ngram_branch_the_transformer_alone_is_exported(exported, tmp_path):
    made = export(exported("pairs")[0], tmp_path / "out", without_ngrams=True)
    assert any("the n-gram branch is left out" in line for line in made.lines())
    assert not [name for name in load_file(made.path / "model.safetensors") if "ngrams" in name]


@pytest.mark.parametrize(("change", "message"), [
    (lambda state: {name: weight * 1.01 for name, weight in state.items()}, "scores differ by"),
    (lambda state: {name: weight * float("nan") for name, weight in state.items()}, "scores differ by nan"),
])
def test_a_model_with_other_scores_is_not_written(exported, tmp_path, monkeypatch, change, message):
    save, run = module.save_weights, exported("pairs")[0]
    monkeypatch.setattr(module, "save_weights", lambda state, path: save(change(state), path))
    with pytest.raises(ExportError, match=rf"the exported model differs from the run .*{message}.*nothing was written"):
        export(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
