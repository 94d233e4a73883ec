"""Predictions of fastText classifiers equal those of Facebook's fastText.

The models and predictions in ``tests/fixtures/fasttext`` were written by fastText 0.9.2 (``train_supervised`` with the
losses softmax, hierarchical softmax with word bigrams, one-vs-all with character n-grams, and negative sampling with
word trigrams).
"""

import json
from pathlib import Path

import numpy as np
import pytest

from embeddings.formats.detect import read_vectors
from pipeline.baselines.fasttext import FastTextClassifier, check_model
from pipeline.baselines.selection import check_selection
from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.tasks.classification import Classification

FIXTURES = Path(__file__).parents[2] / "fixtures" / "fasttext"
EXPECTED = json.loads((FIXTURES / "predictions.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXPECTED["predicted"])
def test_predictions_equal_fasttexts(name):
    classifier = FastTextClassifier(FIXTURES / f"{name}.bin")
    for text, expected in zip(EXPECTED["texts"], EXPECTED["predicted"][name], strict=True):
        theirs = {label.removeprefix("__label__"): score for score, label in expected}
        ours = dict(zip(classifier.model.labels, classifier.probabilities(text), strict=True))
        assert ours == pytest.approx(theirs, abs=2e-5), text  # fastText adds 1e-5 before it takes logarithms
    best = [expected[0][1].removeprefix("__label__") for expected in EXPECTED["predicted"][name]]
    assert classifier.predict(EXPECTED["texts"]) == best


def test_a_classifiers_vectors_are_those_of_its_words():
    rows = read_vectors(FIXTURES / "softmax.bin")
    model = FastTextClassifier(FIXTURES / "softmax.bin").model
    assert [word.encode() for word in rows.words] == list(model.rows)
    assert rows.vectors.tobytes() == model.inputs[: len(rows.words)].tobytes()
    assert rows.composer is None
    assert read_vectors(FIXTURES / "hs.bin").composer is None  # its buckets are those of word n-grams
    assert read_vectors(FIXTURES / "ova.bin").composer.compose(["unlisted"]).found.all()


def test_labels_of_other_data_and_texts_without_features(tmp_path):
    classifier = FastTextClassifier(FIXTURES / "softmax.bin")
    with pytest.raises(ConfigError, match=r"softmax\.bin predicts .*, but the labels of the data are .*train it on"):
        classifier.predict(["x"], {"positive"})
    del classifier.model.rows[b"</s>"]
    assert classifier.probabilities("unlisted").tolist() == []
    assert classifier.predict(["unlisted"]) == [classifier.model.labels[0]]
    assert not np.isnan(classifier.probabilities("good")).any()


@pytest.mark.parametrize("change", ["truncated", "vectors", "missing", "text"])
def test_a_model_that_cannot_be_read_is_refused_before_work(tmp_path, change):
    content = (FIXTURES / "softmax.bin").read_bytes()
    path = tmp_path / "model.bin"
    if change == "truncated":
        path.write_bytes(content[:-1])
    elif change == "vectors":
        path.write_bytes(content[:36] + (2).to_bytes(4, "little") + content[40:])  # the argument `model`: skipgram
    elif change == "text":
        path.write_text("good 1 2\n")
    config = RunConfig(baselines=(f"fasttext:{path}",))
    with pytest.raises(ConfigError, match=r"baselines: .*model\.bin"):
        check_selection(config, Classification.baseline_names)


def test_names_of_models():
    assert check_model(f"fasttext:{FIXTURES / 'hs.bin'}")
    assert not check_model("tfidf+logreg")
    check_selection(RunConfig(baselines=("majority", f"fasttext:{FIXTURES / 'hs.bin'}")), Classification.baseline_names)
