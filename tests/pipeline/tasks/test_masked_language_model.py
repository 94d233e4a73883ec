import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from embeddings import EmbeddingTable, WordTokenizer
from embeddings.special_tokens import END_ID, MASK_ID, N_SPECIAL, START_ID
from pipeline import RunConfig, load_run, run
from pipeline.cli.main import cli
from pipeline.data.examples import Example, Splits
from pipeline.data.features.batching import IGNORED
from pipeline.errors import DataError
from pipeline.tasks import base
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.word_vectors import StageOne
from transformer.config import EmbeddingConfig
from transformer.layers.embedding import TokenEmbedding
from transformer.training.trainer import Trainer

ROOT = Path(__file__).parents[3]
TASK = base.find("masked-language-model")
WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran"]
TOKENIZERS = Tokenizers(WordTokenizer().with_vocabulary([*WORDS, "wug"]), N_SPECIAL + len(WORDS))
LINES = st.lists(st.lists(st.sampled_from([*WORDS, "wug", "xyzzy"]), min_size=1, max_size=30).map(" ".join),
                 min_size=1, max_size=6)


def config(**more):
    data = {"max_length": more.pop("max_length", 16)}
    return base.setup_from(RunConfig.from_mapping({"task": "masked-language-model", "data": data, **more}))


def examples(*lines):
    return tuple(Example(line, "", f"text:{i}") for i, line in enumerate(lines, start=1))


def ids(text):
    return TOKENIZERS.source.encode([text])[0].tolist()


def model(settings):
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 16)).astype(np.float32)
    torch.manual_seed(0)
    table = EmbeddingTable.known(WORDS, vectors, "here")
    layer = TokenEmbedding.from_table(table, d_model=16, config=EmbeddingConfig())
    layer.extend(EmbeddingTable.known(["wug"], np.ones((1, 16), np.float32), "here"))
    made = TASK.model(settings, [layer])
    for weight in made.parameters():
        if weight.ndim > 1 and weight is not layer.weight:
            nn.init.normal_(weight, std=0.3)
    return made.eval()


SMALL = {"model": {"d_model": 16, "n_heads": 2, "d_ff": 32, "dropout": 0.0}}


@pytest.mark.parametrize("pooling", ["mean-max", "cls"])
@settings(max_examples=40)
@given(LINES, st.integers(4, 12), st.floats(0.05, 0.95), st.integers(0, 9))
def test_a_share_of_the_tokens_of_the_vocabulary_is_masked(pooling, lines, max_length, share, seed):
    settings = config(max_length=max_length, model={"pooling": pooling}, pretraining={"masked_share": share})
    features = TASK.encode_texts(lines, TOKENIZERS, settings)
    batch = TASK.batch(features, settings, np.random.default_rng(seed))
    room = max_length - 2 * (pooling == "cls")
    assert len(features) == sum(math.ceil(len(ids(line)) / room) for line in lines)
    for read, target, feature in zip(batch.ids.numpy(), batch.targets.numpy(), features, strict=True):
        whole, chosen = feature.origin[0], target[: len(feature)] != IGNORED
        can = (whole >= N_SPECIAL) & (whole < TOKENIZERS.n_rows)
        assert len(feature) <= max_length
        assert not (chosen & ~can).any()
        assert chosen.sum() == min(can.sum(), max(1, round(share * can.sum())))
        assert (target[: len(feature)][chosen] == whole[chosen]).all()
        assert (read[: len(feature)][~chosen] == whole[~chosen]).all()
        assert ((read[: len(feature)][chosen] == MASK_ID) | (read[: len(feature)][chosen] >= N_SPECIAL)).all()
        if pooling == "cls":
            assert (whole[0], whole[-1]) == (START_ID, END_ID)
    assert batch.n_targets == (batch.targets != IGNORED).sum()


def test_eighty_percent_are_masked_and_ten_percent_replaced():
    settings = config(max_length=6000, pretraining={"masked_share": 0.5})
    text = " ".join(np.random.default_rng(0).choice(WORDS, 6000))
    batch = TASK.batch(TASK.encode_texts([text], TOKENIZERS, settings), settings, np.random.default_rng(1))
    chosen = batch.targets != IGNORED
    read, said = batch.ids[chosen], batch.targets[chosen]
    assert len(read) == 3000
    assert (read == MASK_ID).float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert (read == said).float().mean().item() == pytest.approx(0.1 + 0.1 / 8, abs=0.03)


def test_masks_differ_between_epochs_but_not_in_evaluation():
    settings = config(max_length=30)
    lines = [" ".join(np.random.default_rng(i).choice(WORDS, 30)) for i in range(5)]
    features = TASK.encode_texts(lines, TOKENIZERS, settings)
    first, again, other = (TASK.batch(features, settings, np.random.default_rng(seed)).targets for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    seeds = (replace(settings, config=replace(settings.config, seed=seed)) for seed in (1, 2))
    one, two = (TASK.encode(examples(*lines), TOKENIZERS, seeded) for seeded in seeds)
    assert all((a.target == b.target).all() and (a.ids == b.ids).all() for a, b in zip(one, two, strict=True))


def test_evaluated_positions_do_not_depend_on_the_source():
    lines = examples(*(" ".join(np.random.default_rng(i).choice([*WORDS, "wug"], 20)) for i in range(20)))
    fewer = Tokenizers(WordTokenizer().with_vocabulary(WORDS), N_SPECIAL + len(WORDS))
    with_source, without = (TASK.encode(lines, tokenizers, config()) for tokenizers in (TOKENIZERS, fewer))
    assert [feature.target.tolist() for feature in with_source] == [feature.target.tolist() for feature in without]


def test_a_text_may_have_masks():
    (feature,) = TASK.encode(examples("The <mask> sat on<mask>, wug"), TOKENIZERS, config())
    assert feature.ids.tolist() == [*ids("the"), MASK_ID, *ids("sat on"), MASK_ID, *ids(", wug")]
    assert (feature.target == IGNORED).all()
    assert TASK.reader.texts(examples("The <mask> sat")) == ["The   sat"]
    with pytest.raises(DataError, match="write <mask> in place of the word to predict"):
        TASK.reader.example("The cat sat", "")


def test_tokenized_words_are_not_split():
    (feature,) = TASK.encode_texts([("the", "<mask>", "on a")], TOKENIZERS, config())
    assert len(feature) == 3


def test_predictions_are_the_most_probable_words_and_gold_log_probabilities():
    settings = config(max_length=5, **SMALL)
    network, lines = model(settings), examples("the cat sat on a mat the dog ran", "a wug sat", "xyzzy")
    features = TASK.encode(lines, TOKENIZERS, settings)
    predictions = TASK.predict(network, Prepared(lines, features, TOKENIZERS), settings)
    expected = [[] for _ in lines]
    for feature in features:
        read = torch.tensor(feature.ids[None].astype(np.int64))
        scores = network(read, torch.ones_like(read, dtype=torch.bool))
        scores[:, :N_SPECIAL] = -torch.inf
        for place in np.flatnonzero(feature.target != IGNORED):
            expected[feature.example].append((scores[place].log_softmax(-1), feature.target[place]))
    assert [len(prediction["right"]) for prediction in predictions] == [len(places) for places in expected]
    assert len(predictions[2]["right"]) == 0
    for prediction, places in zip(predictions, expected, strict=True):
        for guesses, log, right, (logs, gold) in zip(prediction["guesses"], prediction["log_probabilities"],
                                                     prediction["right"], places, strict=True):
            assert log == pytest.approx(logs[gold].item(), abs=1e-5)
            assert list(guesses) == [TOKENIZERS.source.vocabulary()[i] for i in logs.topk(5).indices]
            assert list(guesses.values()) == pytest.approx(logs.topk(5).values.exp().tolist(), abs=1e-5)
            assert right == (logs.argmax() == gold)
    measures = TASK.measure(lines, predictions, settings)
    logs = [logs[gold].item() for places in expected for logs, gold in places]
    assert measures["loss"] == pytest.approx(-np.mean(logs), abs=1e-5)
    assert measures["masked_perplexity"] == pytest.approx(math.exp(-np.mean(logs)), rel=1e-4)
    assert measures["masked_accuracy"] == np.mean([hit for prediction in predictions for hit in prediction["right"]])
    assert measures["n"] == len(logs)


def test_the_loss_is_cross_entropy_at_the_masked_positions():
    settings = config(**SMALL)
    network = model(settings)
    features = TASK.encode_texts(["the cat sat on a mat", "a dog ran"], TOKENIZERS, settings)
    batch = TASK.batch(features, settings, np.random.default_rng(0))
    scores = network(batch.ids, torch.ones_like(batch.ids, dtype=torch.bool)).view(2, 6, -1)
    expected = F.cross_entropy(scores.transpose(1, 2), batch.targets, ignore_index=IGNORED)
    assert TASK.loss(network, batch).item() == pytest.approx(expected.item(), abs=1e-6)


def test_texts_without_a_word_of_the_vocabulary_cannot_be_measured():
    settings = config(**SMALL)
    lines = examples("xyzzy wug")
    predictions = TASK.predict(model(settings), Prepared(lines, TASK.encode(lines, TOKENIZERS, settings), TOKENIZERS),
                               settings)
    with pytest.raises(DataError, match="no token to predict"):
        TASK.measure(lines, predictions, settings)


def test_the_baseline_predicts_the_most_frequent_word():
    tokenizer = WordTokenizer().with_vocabulary(WordTokenizer().count(["the the the cat"]))
    table = EmbeddingTable.known(tokenizer.vocabulary()[N_SPECIAL:], np.zeros((2, 2), np.float32), "here")
    splits = Splits("made", examples("the the the cat"), (), examples("the", "cat", "the", "xyzzy"), ())
    (measures,) = TASK.baselines(splits, config(), StageOne(tokenizer, table)).values()
    assert measures["masked_accuracy"] == pytest.approx(2 / 3)
    assert measures["loss"] == pytest.approx(-(2 * math.log(3 / 4) + math.log(1 / 4)) / 3)
    assert measures["n"] == 3


def test_eight_lines_are_learned_by_heart():
    lines = examples("the cat sat", "a dog ran", "mat on the", "dog dog dog", "ran cat ran", "a mat a", "sat sat the",
                     "on a dog")
    settings = config(training={"epochs": 150, "lr": 1e-2, "ema": 0.0, "weight_decay": 0.0}, **SMALL)
    network = model(settings)
    features = TASK.encode(lines, TOKENIZERS, settings)
    batch = TASK.batch(features, settings, np.random.default_rng(0))
    Trainer(model=network, loss=TASK.loss, evaluate=None, config=settings.config.training,
            batches=lambda epoch: [TASK.batch(features, settings, np.random.default_rng(epoch % 20))]).run()
    with torch.no_grad():
        guesses = network(batch.ids, batch.targets != IGNORED).argmax(-1)
    hidden = batch.targets[batch.targets != IGNORED]
    assert (guesses == hidden).sum() >= len(hidden) - 1  # what stands behind "a <mask> a" is told, but not every place


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    settings = RunConfig.from_mapping({
        "task": "masked-language-model", "source": "glove+word2vec,dim=14", "embedding": {"scale": "unit"},
        "data": {"path": str(ROOT / "data" / "stories")},
        "model": {"d_model": 64, "n_heads": 2, "dropout": 0.0, "positions": "rotary"},
        "training": {"epochs": 10, "batch_size": 8, "lr": 4e-3}})
    return run(settings, tmp_path_factory.mktemp("runs") / "stories")


def test_the_chain_learns_the_stories(finished):
    test, baseline = finished.metrics["test"], finished.metrics["baselines"]["unigram"]
    assert test["n"] == baseline["n"]
    assert test["masked_accuracy"] > 2 * baseline["masked_accuracy"]
    assert test["masked_perplexity"] < 0.3 * baseline["masked_perplexity"]
    test_examples = TASK.reader.read_examples(ROOT / "data/stories/test.txt", config().data)
    measured = load_run(finished.path).evaluate(test_examples)
    assert measured["loss"] == pytest.approx(test["loss"], abs=1e-6)


def test_predict_fills_a_mask(finished):
    said = CliRunner().invoke(cli, ["predict", str(finished.path), "Long ago, a fox and a <mask> lived by a lake.",
                                    "--json"])
    (guesses,) = json.loads(said.output)["guesses"]
    assert len(guesses) == 5
    assert sum(guesses.values()) <= 1
    refused = CliRunner().invoke(cli, ["predict", str(finished.path), "Long ago"])
    assert refused.exit_code == 1
    assert "write <mask> in place of the word to predict" in refused.output
