"""Measures of classification that are counted label by label, next to scikit-learn's."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    classification_report,
    f1_score,
    matthews_corrcoef,
)
from sklearn.metrics import confusion_matrix as sklearns_matrix

from pipeline.measures.classification import (
    condensed_confusion_matrix,
    confusion_matrix,
    label_measures,
    measures_by_label,
)

LABELS = st.sampled_from(["a", "b", "c", "d", "é", "other"])
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=60)


@settings(deadline=None)
@given(PAIRS)
def test_all_measures_are_scikit_learns(pairs):
    gold, predicted = map(list, zip(*pairs, strict=True))
    measures, by_label = label_measures(gold, predicted), measures_by_label(gold, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labels that are predicted and not gold
        report = classification_report(gold, predicted, output_dict=True, zero_division=0)
        assert measures["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(gold, predicted), abs=1e-12)
        assert measures["mcc"] == pytest.approx(matthews_corrcoef(gold, predicted), abs=1e-12)
    assert measures["accuracy"] == accuracy_score(gold, predicted)
    assert measures["macro_f1"] == f1_score(gold, predicted, average="macro", zero_division=0)
    assert list(by_label) == sorted({*gold, *predicted})
    for label, of in by_label.items():
        expected = report[label]
        assert of["support"] == expected["support"]
        for name in ("precision", "recall"):
            assert of[name] == pytest.approx(expected[name], abs=1e-12)
        assert of["f1"] == pytest.approx(expected["f1-score"], abs=1e-12)


def test_no_warning_for_labels_without_examples_or_predictions():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert label_measures(["a", "a"], ["b", "b"])["mcc"] == 0
        assert measures_by_label(["a"], ["b"])["b"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_ten_thousand_labels_need_no_square_matrix():
    import tracemalloc

    labels = [f"label {i}" for i in range(10_000)]
    predicted = [labels[i // 2 * 2] for i in range(10_000)]
    label_measures(labels[:10], predicted[:10])  # imports scikit-learn
    tracemalloc.start()
    measures, by_label = label_measures(labels, predicted), measures_by_label(labels, predicted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert measures["balanced_accuracy"] == 0.5
    assert len(by_label) == 10_000


@given(PAIRS, st.integers(1, 4))
def test_a_condensed_matrix_sums_the_rest(pairs, n):
    gold, predicted = map(list, zip(*pairs, strict=True))
    labels = ["a", "b", "c", "d", "é", "other"]
    whole = confusion_matrix(gold, predicted, labels)
    np.testing.assert_array_equal(whole, sklearns_matrix(gold, predicted, labels=labels))
    chosen, counts = condensed_confusion_matrix(gold, predicted, labels, n)
    rows = [labels.index(label) for label in chosen]
    assert rows == sorted(rows)
    assert counts.shape == (n + 1, n + 1)
    np.testing.assert_array_equal(counts[:-1, :-1], whole[np.ix_(rows, rows)])
    np.testing.assert_array_equal(counts[:-1].sum(axis=1), whole.sum(axis=1)[rows])
    np.testing.assert_array_equal(counts[:, :-1].sum(axis=0), whole.sum(axis=0)[rows])
    assert counts.sum() == len(pairs)
    errors = whole.sum(axis=0) + whole.sum(axis=1) - 2 * whole.diagonal()
    assert sorted(errors[rows], reverse=True) == sorted(errors, reverse=True)[:n]
