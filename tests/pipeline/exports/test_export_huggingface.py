"""Runs of random weights, exported: what transformers makes of them is what the run itself says."""

import json

import pytest
import torch
import transformers
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from random_runs import DATA, random_run

from embeddings.special_tokens import END_ID, SPECIAL_TOKENS
from pipeline import RunConfig
from pipeline.cli.main import cli
from pipeline.commands.export import export
from pipeline.data.features.special_tokens import framed, segment_ids
from pipeline.errors import ExportError, RunFolderError
from pipeline.exports import huggingface as module
from pipeline.exports.huggingface import require_architecture
from pipeline.runs.trained import load_run
from pipeline.tasks import base
from transformer.models.decoding import Writer, greedy

BERT = {"like": "bert", "d_model": 16, "n_heads": 2, "d_ff": 24}
GPT2 = {**BERT, "like": "gpt2"}
RUNS = {
    "classification": {"task": "classification", "data": "support", "model": BERT},
    "pairs": {"task": "classification", "data": "pairs", "model": {**BERT, "positions": "learned"}},
    "multi-label": {"task": "multi-label", "data": "hotels", "model": BERT},
    "regression": {"task": "regression", "data": "ratings", "model": BERT},
    "tagging": {"task": "tagging", "data": "entities", "model": BERT},
    "question-answering": {"task": "question-answering", "data": "questions", "model": BERT},
    "masked-language-model": {"task": "masked-language-model", "data": "stories", "model": BERT},
    "language-model": {"task": "language-model", "data": "stories", "model": {**GPT2, "positions": "learned"}},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A function that gives a run and its export by name, made once."""
    root, made = tmp_path_factory.mktemp("runs"), {}

    def get(name):
        if name not in made:
            run = random_run(root / name, **RUNS[name])
            made[name] = run, export(run, root / f"{name}-hf")
        return made[name]

    return get


def loaded(made, auto):
    model, info = auto.from_pretrained(made.path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert type(model).__name__ == made.architecture
    return transformers.AutoTokenizer.from_pretrained(made.path), model.eval()


def test_every_export_is_compared_with_its_run(exported):
    for name in RUNS:
        assert exported(name)[1].difference < 1e-4, name


@pytest.mark.parametrize("name", ["classification", "pairs"])
def test_labels_have_the_same_probabilities(exported, name):
    run, made = exported(name)
    trained = load_run(run)
    examples = trained.task.reader.read(trained.config.data, seed=1).test
    tokenizer, model = loaded(made, transformers.AutoModelForSequenceClassification)
    pairs = [example.text_b for example in examples] if name == "pairs" else None
    batch = tokenizer([example.text for example in examples], pairs, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        probabilities = model(**batch).logits.softmax(dim=-1)
    for row, prediction in zip(probabilities, trained.predict_for(examples), strict=True):
        said = {model.config.id2label[i]: p for i, p in enumerate(row.tolist())}
        assert said == pytest.approx(prediction["probabilities"], abs=1e-4)


def test_several_labels_have_the_same_probabilities_and_transformers_trains_with_the_same_loss(exported):
    run, made = exported("multi-label")
    trained = load_run(run)
    examples = trained.task.reader.read(trained.config.data, seed=1).test
    tokenizer, model = loaded(made, transformers.AutoModelForSequenceClassification)
    assert model.config.problem_type == "multi_label_classification"
    assert list(model.config.id2label.values()) == list(trained.setup.resolved.labels)
    batch = tokenizer([example.text for example in examples], padding=True, truncation=True, return_tensors="pt")
    hot = torch.tensor([[float(label in example.gold) for label in trained.setup.resolved.labels]
                        for example in examples])
    with torch.no_grad():
        output = model(**batch, labels=hot)
    predictions = trained.predict_for(examples)
    for row, prediction in zip(output.logits.sigmoid(), predictions, strict=True):
        said = {model.config.id2label[i]: p for i, p in enumerate(row.tolist())}
        assert said == pytest.approx(prediction["probabilities"], abs=1e-4)
    assert output.loss.item() == pytest.approx(trained.task.measure(examples, predictions, trained.setup)["loss"],
                                               abs=1e-4)


def test_numbers_are_in_the_units_of_the_data(exported):
    run, made = exported("regression")
    trained = load_run(run)
    examples = trained.task.reader.read(trained.config.data, seed=1).test
    tokenizer, model = loaded(made, transformers.AutoModelForSequenceClassification)
    assert (model.config.problem_type, model.config.num_labels) == ("regression", 1)
    batch = tokenizer([example.text for example in examples], padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        output = model(**batch, labels=torch.tensor([example.value for example in examples]))
    predictions = trained.predict_for(examples)
    assert output.logits[:, 0].tolist() == pytest.approx([one["value"] for one in predictions], abs=1e-3)
    assert output.loss.item() == pytest.approx(trained.task.measure(examples, predictions, trained.setup)["mse"],
                                               rel=1e-3)


def test_numbers_far_from_zero_are_exported(tmp_path):
    """Values around a million, which float32 represents in steps of a sixteenth."""
    rows = [line.split("\t") for line in (DATA / "ratings" / "train.tsv").read_text().splitlines()[1:]]
    (tmp_path / "data").mkdir()
    for part, some in (("train", rows[:100]), ("test", rows[100:120])):
        (tmp_path / "data" / f"{part}.tsv").write_text(
            "text\trating\n" + "".join(f"{text}\t{1e6 + 1000 * float(value)}\n" for text, value in some))
    run = random_run(tmp_path / "run", task="regression", data=tmp_path / "data", model=BERT)
    assert export(run, tmp_path / "out").difference < 100


def test_long_texts_are_truncated_alike(exported):
    run, made = exported("pairs")
    trained = load_run(run)
    tokenizer = transformers.AutoTokenizer.from_pretrained(made.path)
    one, other = "the dog ran " * 30, "a man sat on it " * 4
    for pair in ((one, other), (other, one), (one, one), (other, " ")):
        feature = trained.prepare([trained.task.reader.example(*pair)]).features[0]
        read = tokenizer(*pair, truncation=True)
        assert len(read["input_ids"]) == len(feature.ids)
        assert read["token_type_ids"] == feature.token_types.tolist()


def test_starts_and_ends_have_the_same_scores(exported):
    run, made = exported("question-answering")
    trained = load_run(run)
    examples = trained.task.reader.read(trained.config.data, seed=1).test
    tokenizer, model = loaded(made, transformers.AutoModelForQuestionAnswering)
    batch = tokenizer([example.question for example in examples], [example.context for example in examples],
                      padding=True, return_tensors="pt", return_offsets_mapping=True)
    offsets = batch.pop("offset_mapping")
    with torch.no_grad():
        output = model(**batch)
    for i, feature in enumerate(trained.prepare(examples).features):
        with torch.no_grad():
            ids, token_types = torch.tensor(feature.ids[None].astype(int)), torch.tensor(feature.token_types[None])
            ours = trained.model(ids, token_types)[0]
        n = len(feature)
        torch.testing.assert_close(torch.stack([output.start_logits[i], output.end_logits[i]], dim=-1)[:n], ours,
                                   atol=1e-4, rtol=0)
        places = feature.origin.spans
        assert offsets[i, feature.origin.offset : n - 1].tolist() == [[place.start, place.end] for place in places]


def test_next_words_have_the_same_scores_and_greedy_writes_the_same(exported):
    run, made = exported("language-model")
    trained = load_run(run)
    tokenizer, model = loaded(made, transformers.AutoModelForCausalLM)
    line = trained.task.reader.read(trained.config.data, seed=1).test[0].text
    read = tokenizer(line, return_tensors="pt")
    assert read["input_ids"][0, 0] == END_ID
    with torch.no_grad():
        torch.testing.assert_close(model(**read).logits, trained.model(read["input_ids"]), atol=1e-4, rtol=0)
    written = model.generate(**read, max_new_tokens=12, do_sample=False)[0, read["input_ids"].shape[1] :].tolist()
    ours = greedy(Writer.continuing(trained.model, read["input_ids"]), max_tokens=12)[0]
    assert [i for i in written if i != END_ID] == ours.ids


def test_masks_have_the_same_predictions(exported):
    run, made = exported("masked-language-model")
    trained = load_run(run)
    tokenizer, model = loaded(made, transformers.AutoModelForMaskedLM)
    text = "the <mask> was in the garden"
    read = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        logits = model(**read).logits[read["input_ids"] == tokenizer.mask_token_id]
    logits[:, tokenizer.all_special_ids] = -torch.inf  # ours are never guessed
    guesses = trained.predict([text])[0]["guesses"][0]
    best = logits[0].softmax(dim=-1).topk(len(guesses))
    assert dict(zip(tokenizer.convert_ids_to_tokens(best.indices), best.values.tolist(), strict=True)) == (
        pytest.approx(guesses, abs=1e-5))


TEXTS = st.text(max_size=40) | st.lists(st.sampled_from(
    ["Don't", "<s>", "</s>", "<mask>", "zebra", "ÜBER", "12,5", "quokka", "Žižek's", "你好", "สวัสดี", "👍🏽",
     "’s", "\u200b"]),
    max_size=8).map(" ".join)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """The tokenizers of runs that fold text in different ways, and what was made of them."""
    root, made = tmp_path_factory.mktemp("tokenizers"), []
    for i, folding in enumerate(({}, {"lowercase": False}, {"strip_accents": True, "fold_digits": True})):
        run = random_run(root / f"{i}", **RUNS["classification"], **folding)
        export(run, root / f"{i}-hf")
        ours, theirs = load_run(run).tokenizer, transformers.AutoTokenizer.from_pretrained(root / f"{i}-hf")
        words = theirs.convert_ids_to_tokens(range(len(SPECIAL_TOKENS), len(theirs)))
        made.append((ours.with_vocabulary(words), theirs))
    return made


@settings(max_examples=200)
@given(text=TEXTS, other=TEXTS.filter(bool))  # transformers takes an empty second text for none
def test_text_has_the_same_token_ids(tokenizers, text, other):
    for ours, theirs in tokenizers:
        first, second = ours.encode([text, other])
        read = theirs(text, other)
        assert read["input_ids"] == framed(first, second).tolist()
        assert read["token_type_ids"] == segment_ids(first, second).tolist()
        assert theirs(text)["input_ids"] == framed(first).tolist()


def test_unseen_words_of_the_source_are_exported(tmp_path, exported):
    run, made = exported("classification")
    known = transformers.AutoTokenizer.from_pretrained(made.path).get_vocab()
    assert {"zebra", "quokka", "über"} <= known.keys()
    assert not {"New-York", "new-york", "ZEBRA"} & known.keys()
    assert made.n_words == len(known) - len(SPECIAL_TOKENS)
    few = export(run, tmp_path / "few", words=1)
    assert (few.n_extra, few.n_words) == (1, made.n_words - made.n_extra + 1)
    none = export(run, tmp_path / "none", words=0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(none.path)
    assert none.n_extra == 0
    assert tokenizer("zebra")["input_ids"][1] == tokenizer.unk_token_id


def test_models_with_tied_output_are_exported_without_unseen_words(exported):
    for name in ("language-model", "masked-language-model"):
        run, made = exported(name)
        assert (made.n_extra, made.n_words) == (0, len(load_run(run).tokenizer) - len(SPECIAL_TOKENS))


@pytest.mark.parametrize(("values", "message"), [
    ({}, "model.norm=pre, model.embedding_norm=False, model.pooling=mean-max: have no equivalent in BERT; train "
         "with --set model.like=bert"),
    ({"model": {"norm": "post", "embedding_norm": True, "pooling": "cls", "positions": "rotary"}},
     "model.positions=rotary: has no equivalent in BERT"),
    ({"model": {"norm": "post", "embedding_norm": True, "pooling": "cls"}}, "model.like='': has no equivalent in BERT"),
    ({"model": GPT2}, "model.norm=pre, model.activation=gelu-tanh"),
    ({"task": "language-model"}, "model.activation=gelu: has no equivalent in GPT-2; train with --set model.like=gpt2"),
    ({"task": "language-model", "model": BERT}, "model.norm=post"),
    ({"task": "translation"}, "the task 'translation' has no equivalent in BERT or GPT-2"),
    ({"model": BERT, "data": {"han": "words"}}, "data.han=words: tokenizer.json cannot represent"),
])
def test_options_without_an_equivalent_are_named(values, message):
    with pytest.raises(ExportError) as told:
        config = RunConfig.from_mapping(values)
        require_architecture(config, base.find(config.task).architecture, origin="runs/mine")
    assert str(told.value).startswith(f"runs/mine: {message}")


def test_existing_folders_are_kept_and_only_runs_are_exported(tmp_path, exported):
    run, made = exported("classification")
    with pytest.raises(ExportError, match="already exists; choose another --out"):
        export(run, made.path)
    with pytest.raises(RunFolderError, match="no such run"):
        export(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("change", "message"), [
    (lambda state: {name: weight * 1.01 for name, weight in state.items()}, "scores differ by"),
    (lambda state: {name: weight * float("nan") for name, weight in state.items()}, "scores differ by nan"),
])
def test_a_model_with_other_scores_is_not_written(tmp_path, exported, monkeypatch, change, message):
    save, run = module.save_weights, exported("pairs")[0]
    monkeypatch.setattr(module, "save_weights", lambda state, path: save(change(state), path))
    with pytest.raises(ExportError, match=rf"the exported model differs from the run .*{message}.*nothing"):
        export(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_with_other_ids_is_not_written(tmp_path, exported, monkeypatch):
    write, run = module._write_tokenizer, exported("pairs")[0]
    monkeypatch.setattr(module, "_write_tokenizer", lambda tokenizer, *rest: write(
        tokenizer.with_vocabulary(tokenizer.vocabulary()[: len(SPECIAL_TOKENS) - 1 : -1]), *rest))
    with pytest.raises(ExportError, match=r"the token ids differ for .*nothing was written"):
        export(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_same_files(tmp_path, exported):
    run, made = exported("question-answering")
    told = CliRunner().invoke(cli, ["export", str(run), "--to", "hf", "--out", str(tmp_path / "out"), "-q"])
    assert told.exit_code == 0, told.output
    assert f"BertForQuestionAnswering, {made.n_words:,} words, of which {made.n_extra:,} were not seen" in told.output
    assert "scores differ by" in told.output
    for file in made.path.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes(), file.name
    again = CliRunner().invoke(cli, ["export", str(run), "--to", "hf", "--out", str(tmp_path / "out")])
    assert again.exit_code == 1
    assert "already exists" in again.output
    assert "Traceback" not in again.output


def test_without_transformers_the_same_files_are_written(tmp_path, exported, monkeypatch):
    run, made = exported("pairs")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    told = CliRunner().invoke(cli, ["export", str(run), "--to", "hf", "--out", str(tmp_path / "out"), "-q"])
    assert "not compared with the run, because transformers is not installed" in told.output
    for file in made.path.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes(), file.name


def test_the_folder_is_complete_and_readable_by_all(exported):
    always = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
              "README.md"}
    for name in RUNS:
        path = exported(name)[1].path
        more = {"generation_config.json"} if name == "language-model" else set()
        assert {file.name for file in path.iterdir()} == always | more
        assert all(file.stat().st_mode & 0o044 for file in path.iterdir())
    assert json.loads((exported("pairs")[1].path / "config.json").read_text())["model_type"] == "bert"
