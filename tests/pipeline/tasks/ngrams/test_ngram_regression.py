import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from pipeline.tasks.ngrams import regression
from pipeline.tasks.ngrams.regression import CANDIDATES, SMALLEST, WITHOUT_CHOICE, Regression, relevance

ONE = np.ones(3)


def noisy_texts(n, signal, seed=0):
    """Rows with one column that marks the label, scaled by ``signal``, and 200 columns of noise."""
    random = np.random.default_rng(seed)
    gold = np.arange(n) % 2
    noise = random.random((n, 200)) * (random.random((n, 200)) < 0.1)
    return csr_matrix(np.column_stack([signal * gold, noise])), gold


@given(arrays(np.int64, (6, 4), elements=st.integers(0, 1)), st.permutations([True, True, True, False, False, False]))
def test_relevance_is_that_of_the_definition(present, is_label):
    is_label = np.array(is_label)
    counts = [present[texts].sum(axis=0) + 1 for texts in (is_label, ~is_label)]
    shares = [count / count.sum() for count in counts]
    expected = np.sqrt(np.abs(np.log(shares[0] / shares[1])))
    np.testing.assert_allclose(relevance(csr_matrix(present * 0.5), is_label), expected)


def test_relevance_of_a_column_that_all_texts_have_is_smaller():
    rows = csr_matrix(np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]))
    everywhere, in_one_label = relevance(rows, np.array([True, True, False, False]))
    assert everywhere < in_one_label


def test_cross_validation_chooses_strong_regularisation_for_noise():
    rows, gold = noisy_texts(300, signal=0.0)
    assert Regression(ONE, 0.0, seed=1).chosen(rows, gold) == min(CANDIDATES)


def test_cross_validation_chooses_weak_regularisation_for_a_clear_signal():
    rows, gold = noisy_texts(300, signal=0.5)
    assert Regression(ONE, 0.0, seed=1).chosen(rows, gold) == max(CANDIDATES)


@pytest.mark.parametrize("gold", [
    np.arange(SMALLEST - 1) % 2,                    # few texts
    np.array([0, 1] * SMALLEST + [2, 2]),           # a label with few texts
])
def test_without_enough_texts_nothing_is_chosen(gold):
    rows = csr_matrix(np.eye(len(gold)))
    assert Regression(ONE, 0.0, seed=1).chosen(rows, gold) == WITHOUT_CHOICE


def test_with_many_ngrams_nothing_is_chosen(monkeypatch):
    rows, gold = noisy_texts(300, signal=0.0)
    monkeypatch.setattr(regression, "MAX_ENTRIES", rows.nnz - 1)
    assert Regression(ONE, 0.0, seed=1).chosen(rows, gold) == WITHOUT_CHOICE


def test_a_configured_value_is_used():
    rows, gold = noisy_texts(300, signal=0.5)
    weak, strong = (Regression(ONE, c, seed=1).fit(rows, gold)[0] for c in (10.0, 0.01))
    assert np.abs(weak).sum() > np.abs(strong).sum()
    np.testing.assert_array_equal(Regression(ONE, 0.0, seed=1).fit(rows, gold)[0], weak)
