import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.calibration import calibration_curve

from pipeline.errors import DataError
from pipeline.measures.classification import (
    confusion_matrix,
    expected_calibration_error,
    label_measures,
    reliability_curve,
)
from pipeline.measures.language_model import bits_per, perplexity
from pipeline.measures.tagging import entity_measures, repair

LABELS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=30)
SURE = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)
TAG = st.sampled_from(["O", "B-person", "I-person", "B-creative-work", "I-creative-work"])
SENTENCES = st.lists(st.lists(TAG, min_size=1, max_size=8), min_size=1, max_size=5)


@given(LABELS)
def test_label_measures_equal_scikit_learns(pairs):
    gold, guessed = zip(*pairs, strict=True)
    measures = label_measures(gold, guessed)
    precision, recall, _, _ = metrics.precision_recall_fscore_support(gold, guessed, zero_division=0)
    by_hand = np.mean([2 * p * r / (p + r) if p + r else 0 for p, r in zip(precision, recall, strict=True)])
    assert measures["macro_f1"] == pytest.approx(by_hand)
    assert measures["accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    assert measures["n"] == len(pairs)
    np.testing.assert_array_equal(confusion_matrix(gold, guessed, "abcd"),
                                  metrics.confusion_matrix(gold, guessed, labels=list("abcd")))


@given(SURE, st.integers(1, 20))
def test_the_reliability_curve_equals_scikit_learns(pairs, n_bins):
    sure, right = zip(*pairs, strict=True)
    bins = reliability_curve(sure, right, n_bins=n_bins)
    accuracy, confidence = calibration_curve(right, sure, n_bins=n_bins)
    np.testing.assert_allclose([one.accuracy for one in bins], accuracy)
    np.testing.assert_allclose([one.confidence for one in bins], confidence)
    assert sum(one.n for one in bins) == len(pairs)


@given(SURE)
def test_the_calibration_error_equals_its_definition(pairs):
    by_hand = 0.0
    for i in range(15):
        low, high = np.linspace(0, 1, 16)[i:i + 2]
        inside = [(p, hit) for p, hit in pairs if low < p <= high or (i == 0 and p == 0)]
        if inside:
            by_hand += abs(sum(hit - p for p, hit in inside)) / len(pairs)
    assert expected_calibration_error(*zip(*pairs, strict=True)) == pytest.approx(by_hand, abs=1e-12)


def test_calibration_by_hand():
    assert expected_calibration_error([1.0, 1.0], [True, True]) == 0
    assert expected_calibration_error([0.9] * 4, [True, True, True, False]) == pytest.approx(0.15)
    assert expected_calibration_error([0.9, 0.9, 0.6], [True, False, True]) == pytest.approx((0.8 + 0.4) / 3)


def entities(tags):
    """Valid IOB2, read another way: where each entity begins, ends, and its type."""
    begins = [i for i, tag in enumerate(tags) if tag.startswith("B-")]
    return {(i, next((j for j in range(i + 1, len(tags)) if not tags[j].startswith("I-")), len(tags)), tags[i][2:])
            for i in begins}


@given(st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=8), min_size=1, max_size=5))
def test_entity_measures_equal_the_count_of_equal_entities(sentences):
    gold = [repair([a for a, _ in sentence]) for sentence in sentences]
    found = [repair([b for _, b in sentence]) for sentence in sentences]
    sides = [{(i, *one) for i, tags in enumerate(side) for one in entities(tags)} for side in (gold, found)]
    measures = entity_measures(gold, found)

    def expect(right, guessed, named):
        both = len(right & guessed)
        assert named["precision"] == pytest.approx(both / len(guessed) if guessed else 0)
        assert named["recall"] == pytest.approx(both / len(right) if right else 0)
        assert named["f1"] == pytest.approx(2 * both / (len(right) + len(guessed)) if both else 0)
        assert named["n_entities"] == len(right)

    expect(*sides, measures)
    assert set(measures["by_type"]) == {one[3] for side in sides for one in side}
    for name, named in measures["by_type"].items():
        expect(*({one for one in side if one[3] == name} for side in sides), named)
    tags = [(a, b) for one, other in zip(gold, found, strict=True) for a, b in zip(one, other, strict=True)]
    assert measures["accuracy"] == pytest.approx(sum(a == b for a, b in tags) / len(tags))
    assert measures["n"] == len(sentences)


@given(SENTENCES)
def test_the_right_tags_are_perfect(sentences):
    measures = entity_measures(sentences, sentences)
    assert measures["accuracy"] == 1
    assert measures["f1"] == measures["precision"] == measures["recall"] == bool(measures["n_entities"])


@pytest.mark.parametrize(
    ("iob2", "other"),
    [
        (["B-a", "I-a", "O", "B-a", "B-b"], ["B-a", "E-a", "O", "S-a", "S-b"]),        # IOBES
        (["B-a", "I-a", "I-a", "B-a", "B-a"], ["B-a", "I-a", "L-a", "U-a", "U-a"]),    # BILOU
        (["B-a", "I-a", "O", "B-a", "B-b"], ["I-a", "I-a", "O", "I-a", "I-b"]),        # IOB1
    ],
)
def test_schemes_are_read_alike(iob2, other):
    assert entity_measures([iob2], [other])["f1"] == 1


def test_nothing_to_find_and_nothing_found():
    assert entity_measures([["O", "O"]], [["O", "O"]]) == {
        "f1": 0, "precision": 0, "recall": 0, "n_entities": 0, "accuracy": 1, "n": 1, "by_type": {},
    }


def test_gold_and_prediction_of_a_sentence_have_equal_length():
    with pytest.raises(ValueError, match="inconsistent"):
        entity_measures([["O", "O"]], [["O"]])


@pytest.mark.parametrize(
    ("tags", "repaired"),
    [
        (["O", "I-a", "I-a"], ["O", "B-a", "I-a"]),
        (["I-a", "I-b"], ["B-a", "B-b"]),
        (["B-a", "I-a", "O", "I-a", "I-b"], ["B-a", "I-a", "O", "B-a", "B-b"]),
        ([], []),
    ],
)
def test_repair(tags, repaired):
    assert repair(tags) == repaired


@given(st.lists(TAG, max_size=12))
def test_repaired_tags_have_the_same_entities_and_are_valid(tags):
    repaired = repair(tags)
    assert repair(repaired) == repaired
    for before, tag in zip(["O", *repaired], repaired, strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:]
    if any(tag != "O" for tag in tags):
        assert entity_measures([tags], [repaired])["f1"] == 1


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=40))
def test_perplexity_is_the_inverse_of_the_geometric_mean(probabilities):
    nll, n = -sum(map(math.log, probabilities)), len(probabilities)
    assert perplexity(nll, n) == pytest.approx(1 / np.prod(np.power(probabilities, 1 / n)))
    assert 2 ** bits_per(nll, n) == pytest.approx(perplexity(nll, n))


def test_measures_of_language_models_at_the_edges():
    assert perplexity(10 * math.log(50), 10) == pytest.approx(50)
    assert bits_per(8 * math.log(2), 4) == pytest.approx(2)
    assert perplexity(1e9, 1) == math.inf
    for measure in (perplexity, bits_per):
        with pytest.raises(DataError, match="at least one token"):
            measure(0.0, 0)
