import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from embeddings import EmbeddingTable, WordTokenizer
from embeddings.special_tokens import END_ID, UNK_ID
from pipeline import RunConfig, load_run, run
from pipeline.baselines.ngram import KneserNey
from pipeline.cli.main import cli
from pipeline.commands.generate import continuing, generate, joined
from pipeline.data.examples import Example, Splits
from pipeline.data.features.batching import IGNORED, collate
from pipeline.errors import ConfigError, DataError
from pipeline.tasks import base
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.tasks.language_model import stream_of
from pipeline.word_vectors import StageOne
from transformer.config import EmbeddingConfig
from transformer.layers.embedding import TokenEmbedding
from transformer.models.generation import GenerationConfig
from transformer.training.trainer import Trainer

ROOT = Path(__file__).parents[3]
TASK = base.find("language-model")
WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran"]
TOKENIZERS = Tokenizers(WordTokenizer().with_vocabulary([*WORDS, "wug"]), 5 + len(WORDS))  # "wug" training did not meet
LINES = st.lists(st.lists(st.sampled_from([*WORDS, "wug", "xyzzy"]), min_size=1, max_size=9).map(" ".join),
                 min_size=1, max_size=12)


def config(max_length=8, **more):
    return base.setup_from(RunConfig.from_mapping(
        {"task": "language-model", "data": {"max_length": max_length}, **more}))


def examples(*lines):
    return tuple(Example(line, "", f"text:{i}") for i, line in enumerate(lines, start=1))


def model(settings, seed=1):
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 16)).astype(np.float32)
    table = EmbeddingTable.known(WORDS, vectors, "here")
    torch.manual_seed(seed)
    layer = TokenEmbedding.from_table(table, d_model=16, config=EmbeddingConfig())
    layer.extend(EmbeddingTable.known(["wug"], np.ones((1, 16), np.float32), "here"))
    made = TASK.model(settings, [layer])
    for weight in made.parameters():
        if weight.ndim > 1 and weight is not layer.weight:
            nn.init.normal_(weight, std=0.3)
    return made.eval()


SMALL = {"model": {"d_model": 16, "n_heads": 2, "d_ff": 32, "dropout": 0.0, "positions": "rotary"}}


def test_lines_are_concatenated_and_unseen_words_are_inputs_only():
    stream = stream_of(["The wug", "xyzzy sat"], TOKENIZERS)
    the, sat, wug = TOKENIZERS.source.encode(["the sat wug"])[0]
    assert stream.inputs.tolist() == [END_ID, the, wug, END_ID, UNK_ID, sat]
    assert stream.targets.tolist() == [the, UNK_ID, END_ID, UNK_ID, sat, END_ID]
    assert stream.line.tolist() == [0, 0, 0, 1, 1, 1]


@settings(max_examples=50)
@given(LINES, st.integers(1, 12))
def test_every_token_is_predicted_once_with_half_a_window_of_context(lines, max_length):
    stream = stream_of(lines, TOKENIZERS)
    said, n_targets, at = [], 0, 0
    for feature in TASK.encode(examples(*lines), TOKENIZERS, config(max_length)):
        assert len(feature) <= max_length
        places = np.flatnonzero(feature.target != IGNORED)
        assert feature.n_targets == len(places) > 0
        if at:
            assert places[0] >= max_length // 2
        context = feature.ids[: places[0] + 1].tolist()
        assert stream.inputs[: at + 1].tolist()[-len(context):] == context
        assert feature.origin[places].tolist() == stream.line[at : at + len(places)].tolist()
        said += feature.target[places].tolist()
        at, n_targets = at + len(places), n_targets + feature.n_targets
    assert said == stream.targets.tolist()


@settings(max_examples=50)
@given(LINES, st.integers(2, 12), st.integers(0, 99))
def test_training_windows_are_spans_of_the_text(lines, max_length, seed):
    settings, stream = config(max_length), stream_of(lines, TOKENIZERS)
    features = TASK.encode(examples(*lines), TOKENIZERS, settings, training=True)
    assert sum(feature.n_targets for feature in features) == len(stream.targets)
    batch = TASK.batch(features, settings, np.random.default_rng(seed))
    assert batch.n_targets == batch.n_tokens == len(stream.targets)
    pieces = {tuple(stream.inputs[i : i + n]): stream.targets[i : i + n].tolist()
              for n in {len(feature) for feature in features} for i in range(len(stream.inputs) - n + 1)}
    for ids, targets, feature in zip(batch.ids.tolist(), batch.targets.tolist(), features, strict=True):
        assert tuple(ids[: len(feature)]) in pieces
        assert targets[len(feature):] == [IGNORED] * (len(targets) - len(feature))


def test_windows_differ_between_epochs_and_are_reproducible():
    lines = [" ".join(np.random.default_rng(i).choice(WORDS, 9)) for i in range(20)]
    settings = config(16)
    features = TASK.encode(examples(*lines), TOKENIZERS, settings, training=True)
    first, again, other = (TASK.batch(features, settings, np.random.default_rng(seed)).ids for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_half_of_the_words_with_count_one_are_unknown_in_training():
    words = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(400)]
    counts = {**dict.fromkeys(words, 1), "the": 400}
    tokenizers = Tokenizers(WordTokenizer().with_vocabulary(counts), 5 + len(counts))
    lines = examples(*(f"the {word}" for word in words))
    settings = config(400)
    batch = TASK.batch(TASK.encode(lines, tokenizers, settings, training=True), settings, np.random.default_rng(0))
    the = tokenizers.source.encode(["the"])[0][0]
    rare = batch.targets[(batch.targets != the) & (batch.targets != END_ID) & (batch.targets != IGNORED)]
    assert (rare == UNK_ID).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert not (batch.ids == UNK_ID).any()  # they are read as ever


@pytest.mark.parametrize("max_length", [4, 6, 64])
def test_the_log_probability_of_a_line_is_the_sum_over_its_tokens(max_length):
    settings = config(max_length, **SMALL)
    lines = examples("the cat sat on a mat", "a wug ran", "the dog ran on the xyzzy mat")
    network = model(settings)
    prepared = Prepared(lines, TASK.encode(lines, TOKENIZERS, settings), TOKENIZERS)
    predictions = TASK.predict(network, prepared, settings)
    assert [prediction["n"] for prediction in predictions] == [7, 4, 8]
    stream, totals = stream_of(TASK.reader.texts(lines), TOKENIZERS), [0.0] * 3
    for i, (said, line) in enumerate(zip(stream.targets, stream.line, strict=True)):
        step = max(1, max_length // 2)
        first = 0 if i < max_length else step * ((i - max_length) // step + 1)  # of the window that says this word
        scores = network(torch.tensor(stream.inputs[None, first : i + 1].astype(np.int64)))[0, -1]
        totals[line] += scores.log_softmax(-1)[said].item()
    assert [prediction["log_probability"] for prediction in predictions] == pytest.approx(totals, abs=1e-4)
    measures = TASK.measure(lines, predictions, settings)
    assert measures["loss"] == pytest.approx(-sum(totals) / 19, abs=1e-5)
    assert measures["perplexity"] == pytest.approx(math.exp(-sum(totals) / 19), rel=1e-5)
    assert measures["bits_per_word"] == pytest.approx(-sum(totals) / 16 / math.log(2), abs=1e-5)
    assert measures["n"] == 19


def test_the_loss_is_the_mean_over_the_targets():
    settings = config(6, **SMALL)
    lines = examples("the cat sat on a mat", "a dog ran")
    network = model(settings)
    features = TASK.encode(lines, TOKENIZERS, settings)
    prepared = Prepared(lines, features, TOKENIZERS)
    measured = TASK.measure(lines, TASK.predict(network, prepared, settings), settings)["loss"]
    batch = collate(features)
    assert batch.n_targets == 11
    assert TASK.loss(network, batch).item() == pytest.approx(measured, abs=1e-5)


def test_no_token_attends_to_its_target():
    settings = config(8, **SMALL)
    network = model(settings)
    said = [TASK.predict(network, Prepared(one, TASK.encode(one, TOKENIZERS, settings), TOKENIZERS), settings)[0]
            for one in (examples("the cat sat", "a mat"), examples("the cat sat", "dog ran ran"))]
    assert said[0] == pytest.approx(said[1], rel=1e-6)  # torch adds up another length in another order


def test_a_smaller_loss_is_better():
    assert TASK.score({"loss": 1.0}) > TASK.score({"loss": 2.0})
    assert TASK.measures[0].smaller_is_better


def test_nothing_to_measure_is_reported():
    with pytest.raises(DataError, match="no token to evaluate"):
        TASK.measure((), [], config())


def test_the_baselines_have_the_same_vocabulary():
    random = np.random.default_rng(0)
    lines = [" ".join(random.choice(WORDS[:4], 8)) for _ in range(40)]
    tokenizer = WordTokenizer().with_vocabulary(WordTokenizer().count(lines))
    table = EmbeddingTable.known(tokenizer.vocabulary()[5:], np.zeros((4, 2), np.float32), "here")
    splits = Splits("made", examples(*lines[:30]), (), examples(*lines[30:], "xyzzy"), ())
    measures = TASK.baselines(splits, config(), StageOne(tokenizer, table))
    number = {word: i for i, word in enumerate(("<unk>", "</s>", *tokenizer.vocabulary()[5:]))}
    train, test = ([number.get(word, 0) for example in part for word in (*example.text.split(), "</s>")]
                   for part in (splits.train, splits.test))
    for name, order in (("unigram", 1), ("3-gram", 3)):
        logs = KneserNey(order).fit(np.array(train), 6).log_probabilities(np.array([1, *test]))[1:]
        assert measures[name]["loss"] == pytest.approx(-logs.mean())
        assert measures[name]["n"] == len(test)


def test_eight_lines_are_learned_by_heart():
    lines = examples("the cat sat on a mat", "a dog ran", "on the mat sat a dog", "the dog ran on", "cat cat ran",
                     "a mat", "sat the cat", "ran ran ran dog")
    settings = config(16, training={"epochs": 120, "batch_size": 2, "lr": 1e-2, "ema": 0.0}, **SMALL)
    network = model(settings)
    features = TASK.encode(lines, TOKENIZERS, settings, training=True)
    prepared = Prepared(lines, TASK.encode(lines, TOKENIZERS, settings), TOKENIZERS)
    Trainer(model=network, loss=TASK.loss, evaluate=None, config=settings.config.training,
            batches=lambda epoch: [TASK.batch(features[i : i + 2], settings, np.random.default_rng((epoch, i)))
                                   for i in range(0, len(features), 2)]).run()
    measures = TASK.measure(lines, TASK.predict(network, prepared, settings), settings)
    assert measures["perplexity"] < 1.6  # the first word of all can be any, and some lines begin alike


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    settings = RunConfig.from_mapping({
        "task": "language-model", "source": "glove+word2vec,dim=14", "embedding": {"scale": "unit"},
        "data": {"path": str(ROOT / "data" / "stories"), "max_length": 32, "limit_train": 200},
        "model": {"d_model": 64, "positions": "rotary", "n_heads": 2, "dropout": 0.0},
        "training": {"epochs": 6, "batch_size": 4, "lr": 4e-3},
        "generation": {"max_tokens": 30},
    })
    return run(settings, tmp_path_factory.mktemp("runs") / "stories")


def test_the_chain_learns_the_stories(finished):
    test, baselines = finished.metrics["test"], finished.metrics["baselines"]
    assert set(baselines) == {"unigram", "3-gram"}
    assert test["perplexity"] < 0.1 * baselines["unigram"]["perplexity"]
    assert test["n"] == baselines["unigram"]["n"] == baselines["3-gram"]["n"]
    lines = [json.loads(line) for line in (finished.path / "predictions.jsonl").read_text().splitlines()]
    assert test["loss"] == pytest.approx(-sum(line["log_probability"] for line in lines) / test["n"])
    history = [json.loads(line) for line in (finished.path / "history.jsonl").read_text().splitlines()]
    best = min(line["dev_perplexity"] for line in history)  # in the precision of training, and so not quite the same
    assert finished.metrics["dev"]["perplexity"] == pytest.approx(best, rel=2e-3)
    assert "perplexity on the test set (smaller is better)" in (finished.path / "report.html").read_text()


def test_a_loaded_run_has_the_same_measures(finished):
    trained = load_run(finished.path)
    file = ROOT / "data" / "stories" / "test.txt"
    measured = trained.evaluate(trained.task.reader.read_examples(file, trained.config.data))
    assert measured["loss"] == pytest.approx(finished.metrics["test"]["loss"])


def invoke(*arguments):
    return CliRunner().invoke(cli, ["generate", *map(str, arguments)])


def test_generate_continues_the_prompt(finished):
    one = invoke(finished.path, "Long ago, a fox")
    assert one.exit_code == 0
    assert one.output.startswith("Long ago, a fox")
    assert "<" not in one.output
    assert invoke(finished.path, "Long ago, a fox").output == one.output
    assert invoke(finished.path, "Long ago, a fox", "--seed", 2).output != one.output
    three = invoke(finished.path, "Long ago, a fox", "--n", 3, "--json").output.splitlines()
    assert len(three) == len(set(three)) == 3
    assert all(json.loads(line)["log_probability"] < 0 for line in three)


def test_generate_uses_the_configuration_and_the_options(finished):
    trained = load_run(finished.path)
    cold = generate(trained, "The fox", config=replace(trained.config.generation, temperature=0.0))[0].text
    assert invoke(finished.path, "The fox", "--temperature", 0).output == cold + "\n"
    assert invoke(finished.path, "The fox", "--top-k", 1).output == cold + "\n"
    assert invoke(finished.path, "The fox", "--top-p", 1e-6).output == cold + "\n"
    short = invoke(finished.path, "The fox", "--temperature", 0, "--max-words", 3).output.rstrip("\n")
    assert cold.startswith(short)
    assert len(short) < len(cold)


def test_generate_continues_beyond_its_window(finished):
    (text,) = generate(load_run(finished.path), config=GenerationConfig(max_tokens=200, temperature=0.7))
    assert text.text.count("\n") > 2
    assert len(text.text.split()) > 100


def test_a_prompt_may_have_unseen_and_unknown_words(finished):
    for prompt in ("The kangaroo and the xqzt", "One line.\nAnd", "A line.\n", "", "👍", "<mask> </s> <pad>"):
        text = invoke(finished.path, prompt).output
        assert text.startswith(prompt)


@pytest.mark.parametrize(("prompt", "words", "expected"), [
    ("The fox said", [",", '"', "no", ".", '"', "</s>", "then", "</s>", "</s>", "it"],
     'The fox said, "no."\nthen\n\nit'),
    ("", ["the", "fox", "</s>", "ran"], "the fox\nran"),
    ("The fox ", ["ran"], "The fox ran"),
    ("One.\n", ["two", "."], "One.\ntwo."),
    ("It did", ["n't", "</s>"], "It didn't\n"),
    ("the well", ["-", "known"], "the well-known"),
    ("The fox", ["</s>", "ran"], "The fox\nran"),
])
def test_the_continuation_is_joined_to_the_prompt(prompt, words, expected):
    tokenizer = WordTokenizer(dict.fromkeys(word for word in words if word != "</s>"))
    ids = [tokenizer.vocabulary().index(word) for word in words]
    assert joined(prompt, continuing(prompt, prompt.split("\n")[-1], tokenizer), ids) == expected


def test_a_run_of_another_task_cannot_generate(finished, tmp_path, support):
    settings = RunConfig.from_mapping({"data": {"path": str(support)}, "training": {"epochs": 1}, "source": "random"})
    other = run(settings, tmp_path / "other")
    with pytest.raises(ConfigError, match="the task classification of this run cannot continue a text"):
        generate(load_run(other.path))
    said = invoke(other.path)
    assert said.exit_code == 2
    assert "--task language-model" in said.output


@pytest.mark.parametrize("options", [("--temperature", "nan"), ("--temperature", -1), ("--top-p", 0), ("--top-k", -1),
                                     ("--max-words", 0), ("--n", 0), ("--seed", -1)])
def test_invalid_options_are_refused(finished, options):
    said = invoke(finished.path, "The fox", *options)
    assert said.exit_code == 2
    assert "Traceback" not in said.output


def test_predict_prints_the_perplexity_of_a_line(finished):
    said = CliRunner().invoke(cli, ["predict", str(finished.path), "The fox was cold.", "Cold was fox the."])
    likely, unlikely = (float(line.split("\t")[0]) for line in said.output.splitlines())
    assert likely < unlikely


@pytest.mark.datasets
def test_shakespeare_is_read_whole_and_beats_the_unigrams(tmp_path, datasets):
    settings = RunConfig.from_mapping({
        "task": "language-model", "data": {"path": str(datasets / "tinyshakespeare_lm"), "max_length": 32,
                                           "limit_train": 1500, "min_count": 2},
        "training": {"epochs": 2, "lr": 4e-3}, "embedding": {"scale": "unit"},
        "model": {"d_model": 64, "n_layers": 1, "tied": False, "positions": "rotary"}})
    made = run(settings, tmp_path / "made")
    assert made.metrics["test"]["n"] == 14933
    assert made.metrics["test"]["perplexity"] < made.metrics["baselines"]["unigram"]["perplexity"]
    assert made.metrics["baselines"]["3-gram"]["perplexity"] < made.metrics["baselines"]["unigram"]["perplexity"]


@pytest.mark.datasets
def test_a_folder_without_training_text_is_refused(tmp_path, datasets):
    settings = RunConfig.from_mapping({"task": "language-model", "data": {"path": str(datasets / "wikitext2_lm")}})
    with pytest.raises(DataError, match=r"no file train\.\* \(\.txt \.txt\.gz .*\.csv .*\)"):
        run(settings, tmp_path / "made")
