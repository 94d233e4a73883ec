"""Prediction sets: their definition, and their error rate."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures.conformal import (
    conformal_quantile,
    nonconformity,
    prediction_set,
    set_measures,
    smallest_rate,
)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.01, 0.99))
def test_the_quantile_equals_its_definition(scores, rate):
    """The smallest score that at least ``(n + 1)(1 - rate)`` of the scores do not exceed."""
    enough = [score for score in scores
              if sum(other <= score for other in scores) >= (len(scores) + 1) * (1 - rate) - 1e-9]
    assert conformal_quantile(scores, rate) == min(enough, default=math.inf)


def test_the_quantile_equals_numpys_higher_quantile():
    scores = np.random.default_rng(0).random(199)
    for rate in (0.01, 0.05, 0.1, 0.5):
        level = math.ceil(200 * (1 - rate) - 1e-9) / 199
        assert conformal_quantile(scores, rate) == np.quantile(scores, level, method="inverted_cdf")


def test_a_rate_that_is_too_small_has_all_labels():
    assert conformal_quantile([0.1] * 9, smallest_rate(9)) == 0.1
    assert conformal_quantile([0.1] * 9, 0.09) == math.inf
    assert prediction_set({"a": 0.0, "b": 1.0}, math.inf) == ["b", "a"]


def test_a_set_has_the_labels_up_to_the_quantile():
    probabilities = {"a": 0.2, "b": 0.5, "c": 0.3}
    assert prediction_set(probabilities, nonconformity(0.3)) == ["b", "c"]
    assert prediction_set(probabilities, 0.4) == []


def test_measures_of_sets():
    measures = set_measures(["a", "b", "c", "a"], [["a"], ["a"], [], ["b", "a"]])
    assert measures == {"error_rate": 0.5, "answered": 0.5, "answered_error_rate": 0.5, "set_size": 1.0}
    assert set_measures(["a"], [[]])["answered_error_rate"] == 0.0


@pytest.mark.parametrize("rate", [0.05, 0.2])
@pytest.mark.parametrize("sharpness", [0.5, 3.0])
def test_the_error_rate_holds_for_any_model(rate, sharpness):
    """Labels drawn from other probabilities than those of the model, which is miscalibrated."""
    random = np.random.default_rng(0)
    errors = []
    for _ in range(200):
        logits = random.normal(size=(200, 3))
        true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        model = np.exp(sharpness * logits) / np.exp(sharpness * logits).sum(axis=1, keepdims=True)
        gold = (random.random((200, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(max=2)
        quantile = conformal_quantile(1 - model[:99][np.arange(99), gold[:99]], rate)
        errors.append(np.mean([label not in prediction_set(dict(enumerate(p)), quantile)
                               for label, p in zip(gold[99:], model[99:], strict=True)]))
    assert np.mean(errors) == pytest.approx(rate, abs=4 * np.std(errors) / math.sqrt(len(errors)))
