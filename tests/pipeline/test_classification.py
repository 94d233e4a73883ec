import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss

from embeddings import EmbeddingTable, WordTokenizer
from pipeline import RunConfig
from pipeline.data.datasets import Example, Splits
from pipeline.errors import ConfigError, DataError
from pipeline.tasks import registry

TASK = registry.find("classification")
CONFIG = RunConfig.from_mapping({"data": {"labels": ["a", "b", "c"]}})


def examples(labels):
    return tuple(Example(f"text {i}", label, f"file:{i + 2}") for i, label in enumerate(labels))


def splits(train, test="ab", dev=""):
    return Splits("made", examples(train), examples(dev), examples(test), ())


def predicted(n=60):
    logits = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return logits, TASK.predict(logits, CONFIG)


def test_a_prediction_is_the_likeliest_label_and_every_labels_probability():
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
    assert set(measures) == {"accuracy", "macro_f1", "loss", "n"}
    assert measures["n"] == 60
    assert measures["accuracy"] == pytest.approx(accuracy_score(gold, guessed))
    assert measures["macro_f1"] == pytest.approx(f1_score(gold, guessed, average="macro"))
    assert measures["loss"] == pytest.approx(log_loss(gold, logits.double().softmax(dim=1)), abs=1e-5)


def test_a_sure_mistake_has_a_finite_loss():
    predictions = TASK.predict(torch.tensor([[1000.0, 0.0, 0.0]]), CONFIG)
    assert TASK.measure(examples("b"), predictions, CONFIG)["loss"] == pytest.approx(-np.log(1e-12))


def test_labels_come_from_training_or_the_configuration():
    assert TASK.resolve(RunConfig(), splits("bab")).data.labels == ("a", "b")
    given = RunConfig.from_mapping({"data": {"labels": ["b", "a"]}})
    assert TASK.resolve(given, splits("ab")).data.labels == ("b", "a")


@pytest.mark.parametrize(("train", "message"), [("aaa", "only 'a'"), ("", "none")])
def test_one_label_is_nothing_to_learn(train, message):
    with pytest.raises(DataError, match=f"two labels or more, but the training examples have {message}"):
        TASK.resolve(RunConfig(), splits(train))


def test_unknown_labels_are_named_with_the_first_place():
    named = r"file:3: .*: 'y' \(2\), 'x' \(1\); it knows 'a', 'b'"
    with pytest.raises(DataError, match=named):
        TASK.resolve(RunConfig(), splits("ab", test="ayxy"))
    with pytest.raises(DataError, match=named):
        TASK.resolve(RunConfig(), splits("ab", dev="ayxy"))
    with pytest.raises(DataError, match=named.replace("'b'", "'b', 'c'")):
        TASK.measure(examples("ayxy"), predicted(4)[1], CONFIG)


def test_training_labels_must_be_among_those_given():
    given = RunConfig.from_mapping({"data": {"labels": ["a", "b"]}})
    with pytest.raises(DataError, match=r"file:4: .*'c' \(1\); it knows 'a', 'b'"):
        TASK.resolve(given, splits("abc"))


def test_a_batch_holds_padded_ids_and_the_labels_numbers():
    batch = TASK.batch(examples("ca"), [np.array([5, 6], np.int32), np.array([7], np.int32)], CONFIG)
    assert batch.ids.tolist() == [[5, 6], [7, 0]]
    assert batch.targets.tolist() == [2, 0]
    assert (batch.targets.dtype, batch.n_tokens) == (torch.int64, 3)


def test_the_loss_is_cross_entropy():
    logits = predicted(2)[0]
    batch = TASK.batch(examples("ca"), [np.array([5], np.int32)] * 2, CONFIG)
    by_hand = -logits.log_softmax(dim=1)[[0, 1], [2, 0]].mean()
    assert TASK.loss(lambda ids: logits, batch).item() == pytest.approx(by_hand.item())


def test_the_score_is_accuracy_then_loss():
    assert TASK.score({"accuracy": 0.5, "loss": 1.0}) > TASK.score({"accuracy": 0.5, "loss": 2.0})
    assert TASK.score({"accuracy": 0.6, "loss": 9.0}) > TASK.score({"accuracy": 0.5, "loss": 1.0})


def test_baselines_are_measured_on_the_test_set():
    train = tuple(Example(text, label, "") for text, label in [("good", "a"), ("bad", "b"), ("fine", "a")] * 4)
    test = tuple(Example(text, label, "") for text, label in [("good", "a"), ("bad", "b"), ("fine", "a"), ("bad", "b")])
    table = EmbeddingTable.known(["good", "fine", "bad"], np.array([[1, 0], [1, 0.1], [0, 1]], np.float32), "here")
    measures = TASK.baselines(Splits("made", train, (), test, ()), CONFIG, table, WordTokenizer())
    assert measures["majority"] == {"accuracy": 0.5, "macro_f1": pytest.approx(1 / 3), "n": 4}
    for name in ("tfidf+logreg", "mean-vectors+logreg", "nearest-centroid"):
        assert measures[name] == {"accuracy": 1.0, "macro_f1": 1.0, "n": 4}, name


def test_tasks_are_found_by_name():
    with pytest.raises(ConfigError, match=r"no task is called 'clasification'\. Did you mean 'classification'"):
        registry.find("clasification")
