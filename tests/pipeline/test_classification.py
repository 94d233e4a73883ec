import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss

from embeddings import EmbeddingTable, WordTokenizer
from pipeline import RunConfig, baselines
from pipeline.data.datasets import Example, Splits
from pipeline.errors import ConfigError, DataError
from pipeline.tasks import registry

TASK = registry.find("classification")
CONFIG = RunConfig.from_mapping({"data": {"labels": ["a", "b", "c"]}})


def examples(labels):
    return tuple(Example(f"text {i}", label, f"file:{i + 2}") for i, label in enumerate(labels))


def splits(train, test="ab"):
    return Splits("made", examples(train), (), examples(test), ())


def test_measures_equal_scikit_learns():
    torch.manual_seed(0)
    logits, gold = torch.randn(60, 3), ["abc"[i % 3] for i in range(60)]
    predictions = TASK.predict(logits, CONFIG)
    measures = TASK.measure(examples(gold), predictions, CONFIG)
    guessed = ["abc"[i] for i in logits.argmax(dim=1)]
    assert measures["accuracy"] == np.mean([g == p for g, p in zip(gold, guessed, strict=True)])
    assert measures["macro_f1"] == pytest.approx(f1_score(gold, guessed, average="macro"))
    assert measures["loss"] == pytest.approx(log_loss(gold, logits.double().softmax(dim=1)), abs=1e-5)
    assert all(sum(p["probabilities"].values()) == pytest.approx(1) for p in predictions)


def test_labels_come_from_training_or_the_configuration():
    assert TASK.resolve(RunConfig(), splits("bab")).data.labels == ("a", "b")
    given = RunConfig.from_mapping({"data": {"labels": ["b", "a"]}})
    assert TASK.resolve(given, splits("ab")).data.labels == ("b", "a")


@pytest.mark.parametrize(("train", "message"), [("aaa", "only 'a'"), ("", "none")])
def test_one_label_is_nothing_to_learn(train, message):
    with pytest.raises(DataError, match=f"two labels or more, but the training examples have {message}"):
        TASK.resolve(RunConfig(), splits(train))


def test_unknown_labels_are_named_with_the_first_place():
    with pytest.raises(DataError, match=r"file:3: .*: 'y' \(2\), 'x' \(1\); it knows 'a', 'b'"):
        TASK.resolve(RunConfig(), splits("ab", "ayxy"))


def test_the_score_is_accuracy_then_loss():
    assert TASK.score({"accuracy": 0.5, "loss": 1.0}) > TASK.score({"accuracy": 0.5, "loss": 2.0})
    assert TASK.score({"accuracy": 0.6, "loss": 9.0}) > TASK.score({"accuracy": 0.5, "loss": 1.0})


def test_tasks_are_found_by_name():
    with pytest.raises(ConfigError, match=r"no task is called 'clasification'\. Did you mean 'classification'"):
        registry.find("clasification")


def test_mean_vectors_by_hand():
    table = EmbeddingTable.known(["cat", "dog"], np.array([[1.0, 2.0], [5.0, 0.0]], np.float32), "here")
    means = baselines.MeanVectors(table, WordTokenizer())
    texts = ["cat cat dog", "Dog and unknown words", "nothing known", ""]
    np.testing.assert_allclose(means(texts), [[7 / 3, 4 / 3], [5, 0], [0, 0], [0, 0]], rtol=1e-6)


def test_baselines_on_separable_texts():
    train = ["good fine", "good nice", "bad poor", "bad awful"] * 3
    labels = ["+", "+", "-", "-"] * 3
    assert baselines.tfidf(train, labels, ["good", "awful"]) == ["+", "-"]
    assert baselines.majority(["x", "y", "y"], 2) == ["y", "y"]
    vectors = np.array([[1, 0], [1, 0.1], [-1, 0], [-1, 0.1]] * 3, np.float32)
    guesses = baselines.on_mean_vectors(vectors, labels, np.array([[2, 0], [-2, 0]], np.float32))
    assert guesses == {"mean-vectors+logreg": ["+", "-"], "nearest-centroid": ["+", "-"]}
