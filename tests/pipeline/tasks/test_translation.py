import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from embeddings import EmbeddingTable, WordTokenizer
from embeddings.special_tokens import END_ID, START_ID, UNK_ID
from pipeline import RunConfig, load_run, run
from pipeline.cli.main import cli
from pipeline.data.examples import Splits, TranslationExample
from pipeline.data.features.batching import IGNORED
from pipeline.tasks import base
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.tasks.translation import SMOOTHING
from pipeline.word_vectors import StageOne
from transformer.config import ModelConfig
from transformer.layers.embedding import TokenEmbedding

TASK = base.find("translation")
PAIRS = (
    ("a dog sleeps .", "Ein Hund schläft."),
    ("a cat sleeps .", "Eine Katze schläft."),
    ("the big dog barks at a cat .", "Der große Hund bellt eine Katze an."),
    ("two dogs !", "Zwei Hunde!"),
    ("the cat drinks milk", "Die Katze trinkt Milch"),
    ("who drinks milk ?", "Wer trinkt Milch?"),
    ("the big cat sees two dogs .", "Die große Katze sieht zwei Hunde."),
    ("nobody barks .", "Niemand bellt."),
)
EXAMPLES = tuple(TranslationExample(source, target, f"train.en:{i}") for i, (source, target) in enumerate(PAIRS, 1))
SOURCE, TARGET = (cutter.with_vocabulary(sorted({word for pair in PAIRS for word in cutter.words(pair[side])}))
                  for side, cutter in enumerate((WordTokenizer(), WordTokenizer(lowercase=False))))
TOKENIZERS = Tokenizers(SOURCE, len(SOURCE), TARGET)
CONFIG = base.setup_from(
    RunConfig(task="translation", model=ModelConfig(d_model=32, n_layers=1, n_heads=2, d_ff=64, dropout=0.0)))


def config(**sections):
    return base.setup_from(replace(CONFIG.config, **{
        name: replace(getattr(CONFIG.config, name), **values) for name, values in sections.items()}))


def small_model(config=CONFIG):
    torch.manual_seed(1)
    embeddings = [TokenEmbedding(n_words=len(tokenizer) - 5, dim=32, d_model=32) for tokenizer in (SOURCE, TARGET)]
    for embedding in embeddings:
        nn.init.normal_(embedding.weight[1:])
    return TASK.model(config, embeddings)


def features(examples=EXAMPLES, config=CONFIG):
    return TASK.encode(examples, TOKENIZERS, config)


def batch_of(features):
    return TASK.batch(features, CONFIG, np.random.default_rng(0))


def prepared(examples=EXAMPLES):
    return Prepared(examples, features(examples), TOKENIZERS)


def test_source_and_target_have_their_special_tokens():
    feature = features()[2]
    source, target = SOURCE.vocabulary(), TARGET.vocabulary()
    assert " ".join(source[i] for i in feature.ids) == "the big dog barks at a cat . </s>"
    assert " ".join(target[i] for i in feature.target) == "<s> Der große Hund bellt eine Katze an . </s>"
    assert (feature.n_targets, feature.example, feature.where) == (9, 2, "train.en:3")


def test_both_sides_are_truncated_to_max_length():
    feature = features(config=config(data={"max_length": 4}))[2]
    assert feature.ids.tolist() == [*SOURCE.encode(["the big dog"])[0], END_ID]
    assert feature.target.tolist() == [START_ID, *TARGET.encode(["Der große Hund bellt"])[0]]  # its end is not taught
    assert feature.n_targets == 4


def test_a_text_without_a_known_translation_is_encoded():
    feature = features([TASK.reader.example("a dog zzz", "")])[0]
    assert feature.ids.tolist() == [*SOURCE.encode(["a dog"])[0], UNK_ID, END_ID]


def test_a_batch_counts_the_tokens_of_both_texts():
    few = features()[2:5]
    batch = batch_of(few)
    assert batch.targets.shape == (3, 10) and batch.ids.shape == (3, 9)
    assert batch.n_targets == sum(len(feature.target) - 1 for feature in few) == 9 + 4 + 5
    assert batch.n_tokens == batch.n_targets + 9 + 4 + 5
    assert (batch.targets == IGNORED).sum() == 3 * 10 - batch.n_targets - 3


@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING])
def test_the_loss_equals_that_of_single_texts_token_by_token(smoothing):
    model = small_model().train(smoothing > 0)
    items = []
    for feature in features():
        ids, target = torch.tensor(feature.ids)[None].long(), torch.tensor(feature.target)
        logs = model(ids, target[None, :-1])[0].log_softmax(dim=-1)
        for row, right in zip(logs, target[1:], strict=True):
            items.append(-(1 - smoothing) * row[right] - smoothing * row.mean())
    torch.testing.assert_close(TASK.loss(model, batch_of(features())), torch.stack(items).mean())


def test_development_is_the_plain_loss():
    model = small_model()
    measures = TASK.develop(model, prepared(), CONFIG)
    assert not model.training
    with torch.no_grad():
        assert measures["loss"] == pytest.approx(float(TASK.loss(model, batch_of(features()))), rel=1e-5)
    assert measures["perplexity"] == pytest.approx(math.exp(measures["loss"]))
    assert TASK.score({"loss": 1.0}) > TASK.score({"loss": 2.0})


@pytest.fixture(scope="module")
def learned():
    model = small_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        TASK.loss(model, batch_of(features())).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("beam", [1, 4])
def test_eight_examples_are_learned_by_heart(learned, beam):
    settings = config(generation={"beam": beam})
    predictions = TASK.predict(learned, prepared(), settings)
    assert [prediction["translation"] for prediction in predictions] == [target for _, target in PAIRS]
    assert all(-3 < prediction["log_probability"] < 0 for prediction in predictions)
    measures = TASK.measure(EXAMPLES, predictions, settings)
    assert (measures["bleu"], measures["chrf"], measures["n"]) == (pytest.approx(100), pytest.approx(100), 8)
    assert measures["bleu_signature"].startswith("nrefs:1|case:mixed")


def test_predictions_do_not_depend_on_the_batch(learned):
    together = TASK.predict(learned, prepared(), CONFIG)
    for example, prediction in zip(EXAMPLES, together, strict=True):
        (alone,) = TASK.predict(learned, prepared([example]), CONFIG)
        assert alone["translation"] == prediction["translation"]
        assert alone["log_probability"] == pytest.approx(prediction["log_probability"], abs=1e-4)


def test_a_translation_is_not_longer_than_the_limit(learned):
    (prediction,) = TASK.predict(learned, prepared(EXAMPLES[2:3]), config(generation={"max_tokens": 3, "beam": 1}))
    assert prediction["translation"] == "Der große Hund"
    (prediction,) = TASK.predict(learned, prepared(EXAMPLES[2:3]), config(data={"max_length": 2}))
    assert len(prediction["translation"].split()) <= 2


def test_a_text_without_words_has_an_empty_translation(learned):
    examples = [TASK.reader.example("", ""), EXAMPLES[3], TASK.reader.example(" ", "")]
    predictions = TASK.predict(learned, prepared(examples), CONFIG)
    assert [TASK.show(*pair) for pair in zip(examples, predictions, strict=True)] == ["", "Zwei Hunde!", ""]
    assert TASK.predict(learned, prepared(examples[:1]), CONFIG) == [{"translation": "", "log_probability": 0.0}]


def test_baselines_translate_training_texts():
    tables = [EmbeddingTable.known(tokenizer.vocabulary()[5:], np.ones((len(tokenizer) - 5, 2), np.float32), "made")
              for tokenizer in (SOURCE, TARGET)]
    stage_one = StageOne(SOURCE, tables[0], target=StageOne(TARGET, tables[1]))
    measured = TASK.baselines(Splits("made", EXAMPLES, (), EXAMPLES, ()), CONFIG, stage_one)
    assert measured["nearest"]["bleu"] == pytest.approx(100)
    assert 20 < measured["word-for-word"]["chrf"] < 100
    assert all(measures["n"] == 8 for measures in measured.values())


def written(folder, pairs, part="train"):
    folder.mkdir(exist_ok=True)
    for ending, lines in zip(("en", "de"), zip(*pairs, strict=True), strict=True):
        (folder / f"{part}.{ending}").write_text("".join(line + "\n" for line in lines), encoding="utf-8")


SMALL = {"task": "translation", "embedding": {"scale": "unit"}, "seed": 1,
         "model": {"d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 64, "dropout": 0.0},
         "training": {"epochs": 50, "lr": 5e-3, "ema": 0.0, "batch_size": 8}}


def test_an_unseen_word_has_its_vector_of_the_source(tmp_path):
    written(tmp_path / "data", PAIRS)
    written(tmp_path / "data", [("The Feline sleeps .", "Eine Katze schläft.")], "test")
    draw = np.random.default_rng(0)
    words = {word: draw.standard_normal(32) for word in SOURCE.vocabulary()[5:]}
    words["feline"], words["zebra"] = words["cat"], draw.standard_normal(32)
    rows = [f"{word} {' '.join(f'{x:.5f}' for x in vector)}\n" for word, vector in words.items()]
    (tmp_path / "vectors.txt").write_text("".join(rows), encoding="utf-8")
    settings = RunConfig.from_mapping({
        **SMALL, "source": f"file:{tmp_path / 'vectors.txt'}", "target_source": "random",
        "embedding": {"scale": "unit", "freeze": True}, "model": {**SMALL["model"], "tied": False},
        "data": {"path": str(tmp_path / "data"), "languages": ["en", "de"], "dev_share": 0.0}})
    finished = run(settings, tmp_path / "run")
    assert set(finished.metrics["baselines"]) == {"nearest", "word-for-word"}
    trained = load_run(finished.path)
    known, unknown = (trained.predict([text])[0] for text in ("A cat sleeps.", "A feline sleeps."))
    assert known == unknown
    assert known["translation"] == "Eine Katze schläft."


def test_target_text_keeps_case_accents_and_digits(tmp_path):
    written(tmp_path / "data", [("IN 1987", "Im März 1987"), ("in 1987", "Im März 1987"), ("IN rome", "Im Rom")] * 2)
    written(tmp_path / "data", [("IN 1987 once", "Im März 1987 einmal")])
    written(tmp_path / "data", [("In 1987", "Im März 1987")], "test")
    settings = RunConfig.from_mapping({**SMALL, "source": "random", "training": {"epochs": 1}, "data": {
        "path": str(tmp_path / "data"), "languages": ["en", "de"], "fold_digits": True, "strip_accents": True}})
    run(settings, tmp_path / "run")
    trained = load_run(tmp_path / "run")
    assert set(trained.tokenizer.vocabulary()[5:]) == {"in", "0000", "once"}
    assert set(trained.stage_one.target.tokenizer.vocabulary()[5:]) == {"Im", "März", "1987", "einmal"}


def test_target_vectors_are_trained_on_the_targets(tmp_path):
    written(tmp_path / "data", PAIRS)
    written(tmp_path / "data", PAIRS[:1], "test")
    corpus = tmp_path / "english.txt"
    corpus.write_text("a dog and a cat sleep\n" * 20, encoding="utf-8")
    settings = RunConfig.from_mapping({
        **SMALL, "source": "word2vec,min_count=1", "corpus": [str(corpus)], "training": {"epochs": 1},
        "data": {"path": str(tmp_path / "data"), "languages": ["en", "de"], "dev_share": 0.0}})
    source = load_run(run(settings, tmp_path / "run").path).stage_one
    assert source.table.provenance[source.table.index["barks"]] == "random"  # the corpus lacks it
    assert set(source.target.table.provenance) == {"exact"}


def test_words_outside_the_vocabulary_are_never_generated(tmp_path):
    pairs = [(f"see {name}", f"Siehe {name.title()}") for name in "abcdefgh"]  # each name stands once
    written(tmp_path / "data", pairs)
    written(tmp_path / "data", pairs[:2], "test")
    settings = RunConfig.from_mapping({
        **SMALL, "source": "random",
        "data": {"path": str(tmp_path / "data"), "languages": ["en", "de"], "dev_share": 0.0, "min_count": 2}})
    trained = load_run(run(settings, tmp_path / "run").path)
    assert trained.stage_one.target.tokenizer.vocabulary()[5:] == ("Siehe",)
    for prediction in trained.predict(["see a", "see zebras"]):
        assert set(prediction["translation"].split()) == {"Siehe"}


def test_the_sample_and_its_commands(tmp_path):
    """The whole chain on the project's own sample, and the commands that use what it made."""
    path = tmp_path / "run"
    options = [part for value in ("model.d_model=64", "model.n_layers=1", "model.dropout=0", "embedding.scale=unit",
                                  "training.lr=4e-3", "training.ema=0.95") for part in ("--set", value)]
    made = CliRunner().invoke(cli, [
        "run", "--task", "translation", "--data", "data/phrases", "--set", 'data.languages=["en", "de"]', "--source",
        "word2vec,epochs=100", "--epochs", "5", "--out", str(path), "-q", *options])
    assert made.exit_code == 0, made.output
    assert "n = 80 examples" in made.output and "word-for-word" in made.output
    metrics = json.loads((path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["test"]["bleu"] > 1.5 * metrics["baselines"]["nearest"]["bleu"]
    assert metrics["dev"].keys() == metrics["test"].keys() >= {"bleu", "chrf", "n", "bleu_signature"}
    history = [json.loads(line) for line in (path / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert history[-1]["dev_perplexity"] < history[0]["dev_perplexity"] / 2
    predictions = [json.loads(line) for line in (path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert predictions[0]["gold"] == "Er trinkt Wasser." and set(predictions[0]) == {
        "where", "gold", "translation", "log_probability"}

    said = CliRunner().invoke(cli, ["predict", str(path), "He drinks water.", "", "-q"])
    assert said.output == predictions[0]["translation"] + "\n\n"
    measured = CliRunner().invoke(cli, ["evaluate", str(path), "--data", "data/phrases/test.en", "--json", "-q"])
    assert json.loads(measured.output)["bleu"] == pytest.approx(metrics["test"]["bleu"])
