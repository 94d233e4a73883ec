"""Every task with words and with subwords: training, prediction, evaluation, and the commands that use a run."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from embeddings.special_tokens import N_SPECIAL
from pipeline import RunConfig, load_run, run
from pipeline.cli.main import cli
from pipeline.commands.generate import generate
from pipeline.explanation.explain import explain
from pipeline.runs.start.from_run import parts_of_start

DATA = Path(__file__).parents[2] / "data"
SAMPLES = {
    "support": "classification", "pairs": "classification", "hotels": "multi-label", "ratings": "regression",
    "entities": "tagging", "questions": "question-answering", "stories": "language-model",
    "masked": "masked-language-model", "phrases": "translation",
}
TEXTS = {"masked": ("the <mask> said nothing", ""), "questions": ("Where is it?", "It is in Paris, near a tower."),
         "pairs": ("A man sleeps.", "Unbelievably, a man is awake.")}
UNITS = ("words", "wordpiece,size=300", "bpe,size=400")


def settings_for(sample, units, **sections):
    subwords = {} if units == "words" else {"units": "subwords", "tokenizer": units}
    folder = "stories" if sample == "masked" else sample
    return RunConfig.from_mapping({
        "task": SAMPLES[sample], "source": "random", "recipe": "plain", "baselines": "none",
        "data": {"path": str(DATA / folder), "limit_train": 60, "max_length": 48, "stride": 8, **subwords},
        "model": {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32}, "training": {"epochs": 1},
        "generation": {"max_tokens": 8, "beam": 1}, **sections,
    })


class Runs(dict):
    """Small finished runs; each is trained when it is first used."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __missing__(self, key):
        self[key] = run(settings_for(*key), self.folder / f"run{len(self)}")
        return self[key]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("units"))


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_run_predicts_after_loading_what_it_predicted_after_training(runs, sample, units):
    finished = runs[sample, units]
    trained = load_run(finished.path)
    splits = trained.task.reader.read(trained.config.data, seed=1)
    stored = [json.loads(line) for line in (finished.path / "predictions.jsonl").read_text().splitlines()]
    made = trained.predict_for(splits.test)
    assert len(stored) == len(made) == len(splits.test)
    for one, line in zip(made, stored, strict=True):
        assert line.keys() >= one.keys() - {"warning"}
        assert all(line[key] == pytest.approx(one[key], rel=1e-4, abs=1e-5)
                   for key in one if isinstance(one[key], float))
        assert all(line[key] == one[key] for key in one if isinstance(one[key], str | int))
    measures = trained.evaluate(splits.test)
    name = trained.task.measure_name
    assert measures[name] == pytest.approx(finished.metrics["test"][name], rel=1e-4, abs=1e-5)
    text, context = TEXTS.get(sample, ("The unbelievable parcel, again.", ""))
    (prediction,) = trained.predict([text], contexts=[context] if context else ())
    assert "warning" not in prediction or units == "words"
    if sample == "entities":
        assert all(len(one["tags"]) == len(example.words) for one, example in zip(made, splits.test, strict=True))
        assert prediction["words"] == ["The", "unbelievable", "parcel", ",", "again", "."]
        assert len(prediction["tags"]) == 6
    if sample == "questions":
        assert all(one["answer"] == example.context[one["start"]:one["end"]]
                   for one, example in zip(made, splits.test, strict=True) if one["answer"])
        assert prediction["answer"] == context[prediction["start"]:prediction["end"]]


@pytest.mark.parametrize("units", UNITS)
def test_a_text_of_punctuation_has_no_known_word(runs, units):
    trained = load_run(runs["support", units].path)
    one, other = trained.predict([", . .", "The parcel."])
    assert one["warning"] == "the text has no known word"
    assert "warning" not in other


def test_the_units_of_a_run_are_those_of_its_configuration(runs):
    words, pieces = (load_run(runs["support", units].path).tokenizer for units in ("words", "wordpiece,size=300"))
    assert (words.units, pieces.units) == ("words", "subwords")
    assert any(token.startswith("##") for token in pieces.vocabulary())


def test_bits_per_word_count_words(runs):
    """The number of words of a text does not depend on the units, and so its bits per word are comparable."""
    of_each = []
    for units in UNITS:
        (prediction,) = load_run(runs["stories", units].path).predict(["The unbelievable fox ran."])
        of_each.append(prediction.get("n_words", prediction["n"] - 1))
    assert of_each == [5, 5, 5]


@pytest.mark.parametrize("units", UNITS[1:])
def test_generated_text_is_decoded_as_it_is_written(runs, units):
    trained = load_run(runs["stories", units].path)
    parts = []
    (text,) = generate(trained, "A fox said,\nthe ", seed=3, on_text=parts.append)
    assert "".join(parts) == text.text
    assert text.text.startswith("A fox said,\nthe ")
    assert "##" not in text.text.replace("# #", "")
    assert "Ġ" not in text.text


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("sample", ["support", "pairs", "hotels", "ratings", "entities", "questions"])
def test_explanations_are_of_words(runs, sample, units):
    text, context = TEXTS.get(sample, ("The unbelievable parcel, again.", ""))
    found = explain(load_run(runs[sample, units].path), text, context=context)
    whole = {"text": text, "context": context}
    assert all(token.token == whole[token.part][token.start:token.end] for token in found.tokens)
    words = text.replace(",", " ,").replace(".", " .").replace("?", " ?").split()
    assert [token.token for token in found.tokens if token.part == "text"] == words
    assert sum(token.contribution for token in found.tokens) == pytest.approx(found.completeness.sum, abs=1e-3)
    assert len(found.attention.tokens) == len(found.attention.layers[0][0])


@pytest.mark.parametrize("units", UNITS[1:])
def test_a_run_starts_from_the_tokenizer_of_another(runs, tmp_path, units):
    first = runs["masked", units]
    config = RunConfig.from_mapping({"init_from": str(first.path), "baselines": "none", "recipe": "plain",
                                     "data": {"path": str(DATA / "support")}, "training": {"epochs": 1}})
    (part,) = parts_of_start(config, None).values()
    assert part.values["data.units"] == "subwords"
    second = load_run(run(config, tmp_path / "second").path)
    assert second.tokenizer.vocabulary() == load_run(first.path).tokenizer.vocabulary()
    before = load_run(first.path).embedding.weight.detach().numpy()
    start = second.table.vectors[: len(before) - N_SPECIAL]
    assert np.isfinite(start).all()
    assert len(start) == len(before) - N_SPECIAL


def test_keys_of_words_have_no_effect(caplog, tmp_path):
    config = settings_for("support", "wordpiece,size=300", data={
        "path": str(DATA / "support"), "units": "subwords", "tokenizer": "wordpiece,size=300", "min_count": 9,
        "fold_digits": True, "limit_train": 20})
    run(config, tmp_path / "run")
    said = [record.getMessage() for record in caplog.records if ": no effect" in record.getMessage()]
    assert said == ["data.fold_digits, data.min_count: no effect with data.units=subwords "
                    "data.tokenizer=wordpiece,size=300"]


@pytest.mark.parametrize("arguments", [
    ["inspect", "{support}"], ["inspect", "{entities}", "--text", "Anna is in Berlin."],
    ["suggest", "{support}", "--unlabelled", str(DATA / "support" / "unlabelled.txt"), "-n", "3"],
    ["predict", "{entities}", "Anna is in Berlin.", "--json"],
    ["evaluate", "{support}", "--data", str(DATA / "support" / "test.tsv")],
    ["embed", "info", "{support}"], ["embed", "neighbors", "{support}", "the"],
    ["embed", "convert", "{support}", "--to", "{folder}/vectors.txt"],
    ["embed", "coverage", "{support}", "--text", str(DATA / "support" / "test.tsv")],
    ["generate", "{stories}", "A fox", "--json"],
])
def test_commands_use_a_run_of_subwords(runs, tmp_path, arguments):
    paths = {name: runs[name, UNITS[1]].path for name in ("support", "entities", "stories")}
    said = CliRunner().invoke(cli, [one.format(**paths, folder=tmp_path) for one in arguments])
    assert said.exit_code == 0, said.output
