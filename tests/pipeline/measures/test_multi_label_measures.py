"""Measures of label sets and thresholds, compared with scikit-learn and with exhaustive search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

from pipeline.measures.multi_label import (
    common_threshold,
    cross_entropy,
    example_f1,
    label_set_measures,
    label_thresholds,
    measures_by_label,
)

SETS = st.lists(st.tuples(st.sets(st.sampled_from("abcde")), st.sets(st.sampled_from("abcdex"))), min_size=1,
                max_size=12)


@settings(max_examples=40)
@given(SETS)
def test_measures_equal_those_of_scikit_learn(pairs):
    gold, predicted = ([sorted(side) for side in sides] for sides in zip(*pairs, strict=True))
    labels = sorted({label for side in (*gold, *predicted) for label in side})
    measures, by_label = label_set_measures(gold, predicted), measures_by_label(gold, predicted)
    assert list(by_label) == labels
    assert measures["n"] == len(pairs)
    if not labels:
        assert (measures["micro_f1"], measures["macro_f1"], measures["subset_accuracy"]) == (0, 0, 1)
        return
    hot = MultiLabelBinarizer(classes=list("abcdex"))
    true, found = hot.fit_transform(gold), hot.transform(predicted)
    of = {"labels": ["abcdex".index(label) for label in labels], "zero_division": 0}
    assert measures["micro_f1"] == pytest.approx(f1_score(true, found, average="micro", **of))
    assert measures["macro_f1"] == pytest.approx(f1_score(true, found, average="macro", **of))
    assert measures["subset_accuracy"] == pytest.approx(accuracy_score(true, found))
    theirs = precision_recall_fscore_support(true, found, average=None, **of)
    for i, name in enumerate(("precision", "recall", "f1", "support")):
        np.testing.assert_allclose([one[name] for one in by_label.values()], theirs[i])


@settings(max_examples=40)
@given(SETS)
def test_the_f1_of_one_example_is_that_of_samples(pairs):
    hot = MultiLabelBinarizer(classes=list("abcdex")).fit([])
    for gold, predicted in pairs:
        expected = f1_score(hot.transform([gold]), hot.transform([predicted]), average="samples",
                            zero_division=float(not gold and not predicted))
        assert example_f1(gold, predicted) == pytest.approx(expected)


def test_cross_entropy_equals_that_of_scikit_learn():
    random = np.random.default_rng(0)
    probabilities, gold = random.random((20, 3)), random.random((20, 3)) < 0.4
    expected = np.mean([log_loss(gold[:, i], probabilities[:, i], labels=[False, True]) for i in range(3)])
    assert cross_entropy(probabilities, gold) == pytest.approx(expected)
    assert cross_entropy([[0.0]], [[True]]) == pytest.approx(-np.log(1e-12))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_thresholds_have_the_best_f1_of_all_thresholds(seed, n, tied):
    random = np.random.default_rng(seed)
    probabilities = random.random((n, 2)).round(1 if tied else 12) + 1e-3
    gold = random.random((n, 2)) < 0.4

    def best(p, hit):
        return max(f1_score(hit, p > t, zero_division=0) for t in [0.0, *p[p < p.max()], p.max() - 1e-13])

    common = common_threshold(probabilities, gold)
    found = f1_score(gold.ravel(), probabilities.ravel() > common, zero_division=0)
    assert found == pytest.approx(best(probabilities.ravel(), gold.ravel()))
    for i, threshold in enumerate(label_thresholds(probabilities, gold)):
        if gold[:, i].any():
            found = f1_score(gold[:, i], probabilities[:, i] > threshold, zero_division=0)
            assert found == pytest.approx(best(probabilities[:, i], gold[:, i]))
        else:
            assert threshold == 0.5
