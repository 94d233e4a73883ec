from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch import nn

from embeddings import EmbeddingTable, WordTokenizer
from pipeline import RunConfig, load_run, run
from pipeline.baselines.selection import FASTTEXT
from pipeline.data.examples import Example, Splits
from pipeline.data.features.special_tokens import framed, token_types_of
from pipeline.errors import ConfigError, DataError
from pipeline.tasks import base
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.word_vectors import StageOne
from transformer.config import EmbeddingConfig
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import ClassificationHead, ClsHead, PairHead

TASK = base.find("classification")
CONFIG = base.setup_from(RunConfig.from_mapping({"data": {"labels": ["a", "b", "c"]}}))
WORDS = ["text", *map(str, range(60)), "the", "cat", "sat", "dog"]
TOKENIZERS = Tokenizers(WordTokenizer().with_vocabulary(WORDS), 5 + len(WORDS))
PAIRS = Path(__file__).parents[3] / "data" / "pairs"
IDS = st.lists(st.integers(0, 12), max_size=8).map(lambda ids: np.array(ids, np.int32))


class Parrot(nn.Module):
    """Says of each text the logits of its number, which is the text's second word."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, ids, token_types):
        return self.logits[ids[:, 1] - TOKENIZERS.source.encode(["0"])[0].item()]


def examples(labels):
    return tuple(Example(f"text {i}", label, f"file:{i + 2}") for i, label in enumerate(labels))


def splits(train, test="ab", dev=""):
    return Splits("made", examples(train), examples(dev), examples(test), ())


def predict(logits):
    rows = examples("a" * len(logits))
    return TASK.predict(Parrot(logits), Prepared(rows, TASK.encode(rows, TOKENIZERS, CONFIG), TOKENIZERS), CONFIG)


def predicted(n=60):
    logits = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return logits, predict(logits)


def pair(first, second, label="a"):
    return Example(first, label, "file:2", second)


def with_token_types(n, **model):
    return base.setup_from(RunConfig.from_mapping(
        {"data": {"labels": ["a", "b", "c"]}, "model": {"token_types": n, **model}}))


def encode(example, config):
    [feature] = TASK.encode([example], TOKENIZERS, config)
    words = TOKENIZERS.source.vocabulary()
    return [words[i] for i in feature.ids], None if feature.token_types is None else feature.token_types.tolist()


def test_a_prediction_is_the_most_probable_label_and_all_probabilities():
    logits, predictions = predicted()
    for row, prediction in zip(logits, predictions, strict=True):
        assert prediction["label"] == "abc"[row.argmax()]
        assert list(prediction["probabilities"]) == ["a", "b", "c"]
        assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(list(prediction["probabilities"].values()), row.softmax(0), rtol=1e-5)


def test_measures_equal_scikit_learns():
    logits, predictions = predicted()
    gold = ["aaabbc"[i % 6] for i in range(60)]
    guessed = ["abc"[i] for i in logits.argmax(dim=1)]
    measures = TASK.measure(examples(gold), predictions, CONFIG)
    assert set(measures) == {"accuracy", "macro_f1", "balanced_accuracy", "mcc", "loss", "calibration_error", "n",
                             "by_label"}
    assert measures["n"] == 60
    assert measures["accuracy"] == pytest.approx(accuracy_score(gold, guessed))
    assert measures["macro_f1"] == pytest.approx(f1_score(gold, guessed, average="macro"))
    assert measures["loss"] == pytest.approx(log_loss(gold, logits.double().softmax(dim=1)), abs=1e-5)


def test_the_history_has_the_measures_of_before(monkeypatch):
    _, predictions = predicted()
    monkeypatch.setattr(type(TASK), "predict", lambda *_: predictions)
    prepared = Prepared(examples(["aaabbc"[i % 6] for i in range(60)]), (), None)
    assert list(TASK.develop(None, prepared, CONFIG)) == ["accuracy", "macro_f1", "n", "loss", "calibration_error"]


def test_the_calibration_error_of_constant_confidence():
    sure = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]]).log()
    predictions = predict(sure)
    assert TASK.measure(examples("abca"), predictions, CONFIG)["calibration_error"] == pytest.approx(0.2, abs=1e-6)
    assert TASK.measure(examples("abcb"), predictions, CONFIG)["calibration_error"] == pytest.approx(0.05, abs=1e-6)
    assert TASK.measure(examples("baab"), predictions, CONFIG)["calibration_error"] == pytest.approx(0.8, abs=1e-6)


def test_a_confident_error_has_a_finite_loss():
    predictions = predict(torch.tensor([[1000.0, 0.0, 0.0]]))
    assert TASK.measure(examples("b"), predictions, CONFIG)["loss"] == pytest.approx(-np.log(1e-12))


def test_the_report_has_the_confusion_matrix_and_reliability():
    plots = TASK.plots(examples("abc" * 20), predicted()[1], CONFIG)
    assert set(plots) == {"Confusion matrix", "Reliability"}
    assert all(picture.startswith("<svg") for picture in plots.values())
    assert ">accuracy<" in plots["Reliability"]


def test_labels_come_from_training_or_the_configuration():
    assert TASK.resolve(RunConfig(), splits("bab")).labels == ("a", "b")
    given = RunConfig.from_mapping({"data": {"labels": ["b", "a"]}})
    assert TASK.resolve(given, splits("ab")).labels == ("b", "a")


@pytest.mark.parametrize(("train", "message"), [("aaa", "only 'a'"), ("", "none")])
def test_one_label_is_nothing_to_learn(train, message):
    with pytest.raises(DataError, match=f"at least two labels, but the training examples have {message}"):
        TASK.resolve(RunConfig(), splits(train))


def test_unknown_labels_are_named_with_the_first_location():
    named = r"file:3: .*: 'y' \(2\), 'x' \(1\); the model's labels are 'a', 'b'"
    with pytest.raises(DataError, match=named):
        TASK.resolve(RunConfig(), splits("ab", test="ayxy"))
    with pytest.raises(DataError, match=named):
        TASK.resolve(RunConfig(), splits("ab", dev="ayxy"))
    with pytest.raises(DataError, match=named.replace("'b'", "'b', 'c'")):
        TASK.measure(examples("ayxy"), predicted(4)[1], CONFIG)


def test_training_labels_must_be_among_the_configured_ones():
    given = RunConfig.from_mapping({"data": {"labels": ["a", "b"]}})
    with pytest.raises(DataError, match=r"file:4: .*'c' \(1\); the model's labels are 'a', 'b'"):
        TASK.resolve(given, splits("abc"))


def test_a_batch_has_padded_ids_and_label_numbers():
    made = TASK.encode([Example("the cat", "c", "here:1"), Example("dog", "a", "here:2")], TOKENIZERS, CONFIG)
    batch = TASK.batch(made, CONFIG, np.random.default_rng(0))
    the, cat, dog = TOKENIZERS.source.encode(["the cat dog"])[0].tolist()
    assert batch.ids.tolist() == [[the, cat], [dog, 0]]
    assert batch.targets.tolist() == [2, 0]
    assert (batch.targets.dtype, batch.n_tokens, batch.n_targets) == (torch.int64, 3, 2)
    assert batch.where == ("here:1", "here:2")
    assert batch.token_types is None


def test_the_loss_is_cross_entropy():
    logits = predicted(2)[0]
    batch = TASK.batch(TASK.encode(examples("ca"), TOKENIZERS, CONFIG), CONFIG, np.random.default_rng(0))
    by_hand = -logits.log_softmax(dim=1)[[0, 1], [2, 0]].mean()
    assert TASK.loss(Parrot(logits), batch).item() == pytest.approx(by_hand.item())


def test_the_score_is_accuracy_then_loss():
    assert TASK.score({"accuracy": 0.5, "loss": 1.0}) > TASK.score({"accuracy": 0.5, "loss": 2.0})
    assert TASK.score({"accuracy": 0.6, "loss": 9.0}) > TASK.score({"accuracy": 0.5, "loss": 1.0})


def test_baselines_are_measured_on_the_test_set():
    train = tuple(Example(text, label, "") for text, label in [("good", "a"), ("bad", "b"), ("fine", "a")] * 4)
    test = tuple(Example(text, label, "") for text, label in [("good", "a"), ("bad", "b"), ("fine", "a"), ("bad", "b")])
    table = EmbeddingTable.known(["good", "fine", "bad"], np.array([[1, 0], [1, 0.1], [0, 1]], np.float32), "here")
    measures = TASK.baselines(Splits("made", train, (), test, ()), CONFIG, StageOne(WordTokenizer(), table))
    assert measures["majority"] == {"accuracy": 0.5, "macro_f1": pytest.approx(1 / 3), "balanced_accuracy": 0.5,
                                    "mcc": 0.0, "n": 4}
    for name in ("tfidf+logreg", "tfidf-chars+logreg", "hashed-ngrams", "mean-vectors+logreg", "nearest-centroid"):
        assert measures[name] == {"accuracy": 1.0, "macro_f1": 1.0, "balanced_accuracy": 1.0, "mcc": 1.0, "n": 4}, name
    assert tuple(measures) == tuple(name for name in TASK.baseline_names if name != FASTTEXT)


def test_tasks_are_found_by_name():
    with pytest.raises(ConfigError, match=r"no task is called 'clasification'\. Did you mean 'classification'"):
        base.find("clasification")


@pytest.mark.parametrize(("second", "like", "token_types"), [("", "", 0), ("dog", "", 4), ("dog", "bert", 2)])
def test_pairs_have_token_types(second, like, token_types):
    data = Splits("made", (pair("cat", second, "a"), pair("dog", second, "b")), (), (), ())
    assert TASK.resolve(with_token_types(3, like=like, positions="learned").config, data).token_types == token_types


def test_a_text_is_encoded_with_or_without_special_tokens():
    assert encode(Example("the cat", "a", ""), CONFIG) == (["the", "cat"], None)
    framed_words = ["<s>", "the", "cat", "</s>"]
    assert encode(Example("the cat", "a", ""), with_token_types(0, pooling="cls")) == (framed_words, None)


def test_token_types_of_a_pair_mark_common_words():
    words = ["<s>", "the", "cat", "</s>", "the", "dog", "</s>"]
    assert encode(pair("the cat", "the dog"), with_token_types(4)) == (words, [0, 2, 0, 0, 3, 1, 1])
    assert encode(pair("the cat", "the dog"), with_token_types(2)) == (words, [0, 0, 0, 0, 1, 1, 1])
    assert encode(pair("cat", ""), with_token_types(4)) == (["<s>", "cat", "</s>", "</s>"], [0, 0, 0, 1])


@given(IDS, IDS)
def test_token_types_equal_their_definition(one, other):
    words, kinds = framed(one, other).tolist(), token_types_of(one, other).tolist()
    second = len(one) + 2
    assert len(kinds) == len(words)
    for place, (word, kind) in enumerate(zip(words, kinds, strict=True)):
        in_both = word >= 5 and word in one and word in other
        assert kind == int(place >= second) + 2 * in_both


@pytest.mark.parametrize("limit", [5, 7])
def test_long_pairs_are_truncated_to_the_maximum_length(limit):
    config = base.setup_from(RunConfig.from_mapping(
        {"data": {"labels": ["a"], "max_length": limit}, "model": {"token_types": 4}}))
    words, token_types = encode(pair("the cat sat text 1 2 3", "dog sat 4"), config)
    assert len(words) == len(token_types) == limit
    assert (words[0], words[-1], words.count("</s>")) == ("<s>", "</s>", 2)


@pytest.mark.parametrize(("token_types", "pooling", "head"), [
    (0, "mean-max", ClassificationHead), (4, "mean-max", PairHead), (4, "cls", ClsHead), (0, "cls", ClsHead)])
def test_the_head_is_that_of_the_pooling_and_of_pairs(token_types, pooling, head):
    table = EmbeddingTable.known(WORDS, np.ones((len(WORDS), 128), np.float32), "here")
    words = TokenEmbedding.from_table(table, d_model=128, config=EmbeddingConfig())
    assert type(TASK.model(with_token_types(token_types, pooling=pooling), [words]).head) is head


def learn(columns, rows, folder, **model):
    """A run on the same few rows for training and test."""
    (folder / "data").mkdir()
    for part in ("train", "test"):
        (folder / "data" / f"{part}.tsv").write_text("".join("\t".join(row) + "\n" for row in (columns, *rows)))
    return run(RunConfig.from_mapping({
        "data": {"path": str(folder / "data")}, "source": "random,dim=16",
        "model": {"d_model": 32, "n_heads": 2, "d_ff": 32, "dropout": 0.0, **model},
        "training": {"epochs": 40, "batch_size": 8, "lr": 1e-2, "ema": 0.0},
    }), folder / "run").metrics["test"]


ORDERS = [(f"the {a} {verb} the {b}", a) for a, b in (("cat", "dog"), ("dog", "cat"))
          for verb in ("bit", "saw", "met", "fed")]


@pytest.mark.parametrize("model", [{}, {"convolutions": [3, 5]}, {"pooling": "cls"}],
                         ids=["plain", "convolutions", "first word"])
def test_eight_texts_are_learned_by_heart(tmp_path, model):
    measures = learn(("text", "label"), ORDERS, tmp_path, **model)
    assert measures["accuracy"] == measures["macro_f1"] == 1.0
    assert measures["n"] == 8


@pytest.mark.parametrize("model", [{}, {"like": "bert", "positions": "learned", "max_positions": 512}],
                         ids=["plain", "bert"])
def test_eight_pairs_are_learned_by_heart(tmp_path, model):
    animals = ("cat", "dog", "cow", "hen")
    rows = [(f"a {one} sat", f"the {other} sat", "same" if one == other else "other")
            for i, one in enumerate(animals) for other in (one, animals[i - 1])]
    assert learn(("text_a", "text_b", "label"), rows, tmp_path, **model)["accuracy"] == 1.0


def test_the_sample_of_pairs_is_learned_and_both_texts_count(tmp_path):
    config = RunConfig.from_mapping({"data": {"path": str(PAIRS)}, "training": {"epochs": 12}})
    made = run(config, tmp_path / "run")
    assert made.metrics["test"]["n"] == 60
    assert made.metrics["test"]["accuracy"] >= 0.6  # chance is a third
    trained = load_run(made.path)
    assert trained.setup.model.token_types == 4
    texts = [pair("A man is sleeping.", other) for other in ("A man is sleeping.", "A man is not sleeping.")]
    same, opposite = (prediction["probabilities"] for prediction in trained.predict_for(texts))
    assert same["entailment"] > opposite["entailment"]
    assert same["contradiction"] < opposite["contradiction"]


@pytest.mark.datasets
def test_real_pairs_are_learned(datasets, tmp_path):
    config = RunConfig.from_mapping({"data": {"path": str(datasets / "sick"), "limit_train": 800},
                                     "training": {"epochs": 5}})
    made = run(config, tmp_path / "run").metrics
    assert (made["dev"]["n"], made["test"]["n"]) == (500, 4927)
    assert made["test"]["accuracy"] > made["baselines"]["majority"]["accuracy"] + 0.1
