"""Correlations and errors of numbers."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_squared_error

from pipeline.measures.regression import regression_measures


def test_measures_equal_those_of_scipy_and_scikit_learn():
    random = np.random.default_rng(0)
    gold = random.normal(3, 2, 50).round(0)  # with ties
    predicted = gold + random.normal(0, 1, 50)
    measures = regression_measures(gold, predicted)
    assert measures == {"pearson": pytest.approx(pearsonr(gold, predicted).statistic),
                        "spearman": pytest.approx(spearmanr(gold, predicted).statistic),
                        "mse": pytest.approx(mean_squared_error(gold, predicted)), "n": 50}


@pytest.mark.parametrize(("gold", "predicted"), [([1, 2, 3], [2, 2, 2]), ([2, 2], [1, 2]), ([1], [2])])
def test_an_undefined_correlation_is_zero_without_a_warning(gold, predicted, recwarn):
    measures = regression_measures(gold, predicted)
    assert (measures["pearson"], measures["spearman"]) == (0, 0)
    assert measures["mse"] == pytest.approx(mean_squared_error(gold, predicted))
    assert not recwarn.list
