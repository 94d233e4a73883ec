"""Differences over several data sets: agreement with other implementations, verdicts, coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.benchmark.analysis.random_effects import (
    MIN_DATA_SETS,
    TOO_FEW_DATA,
    family_over_data_sets,
    pool,
    pool_means,
)
from pipeline.benchmark.analysis.statistics import ALPHA, BETTER, EQUAL, NO_DIFFERENCE, WORSE


@pytest.mark.parametrize("k", [2, 3, 8])
def test_test_and_interval_are_those_of_scipy(k):
    rows = np.random.default_rng(k).normal(0.5, 1, size=(k, 6))
    found, expected = pool(rows.tolist()), stats.ttest_1samp(rows.mean(axis=1), 0)
    assert (found.n, found.mean) == (k, pytest.approx(rows.mean()))
    assert found.difference().p == pytest.approx(expected.pvalue)
    for alpha in (0.05, 0.01):
        assert found.difference(alpha).interval == pytest.approx(tuple(expected.confidence_interval(1 - alpha)))


def test_a_balanced_mixed_model_has_the_same_estimates():
    """``MixedLM`` of statsmodels 0.15.0 with a random intercept for each data set, by REML."""
    found = pool([[0.0908, -0.0011, 0.0584, 0.0386, 0.0409, 0.0457],
                  [-0.0304, 0.0054, -0.0073, 0.0765, 0.0145, 0.0029],
                  [0.0744, 0.0666, 0.0589, 0.0722, 0.0896, 0.0752],
                  [0.0492, 0.026, 0.0305, 0.0609, 0.0409, 0.0199],
                  [0.0563, 0.0708, 0.0987, 0.0546, 0.0551, 0.08]])
    assert found.mean == pytest.approx(0.0471567, abs=1e-7)
    assert found.error == pytest.approx(0.0113923, abs=2e-6)
    assert found.spread == pytest.approx(0.0235454, abs=2e-5)


def test_the_spread_is_the_published_one():
    """Log risk ratios of 13 trials of BCG (Colditz et al. 1994); tau^2 of Hedges & Olkin in R's metafor: 0.3286."""
    treated = np.array([[4, 119], [6, 300], [3, 228], [62, 13536], [33, 5036], [180, 1361], [8, 2537], [505, 87886],
                        [29, 7470], [17, 1699], [186, 50448], [5, 2493], [27, 16886]])
    control = np.array([[11, 128], [29, 274], [11, 209], [248, 12619], [47, 5761], [372, 1079], [10, 619],
                        [499, 87892], [45, 7232], [65, 1600], [141, 27197], [3, 2338], [29, 17825]])
    risk, other = (one[:, 0] / one.sum(axis=1) for one in (treated, control))
    variances = sum(1 / one[:, 0] - 1 / one.sum(axis=1) for one in (treated, control))
    assert pool_means(np.log(risk / other).tolist(), variances.tolist()).spread ** 2 == pytest.approx(0.3286, abs=5e-5)


def test_equal_means_have_the_error_of_the_seeds():
    found = pool([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]])
    assert found.error == pytest.approx((2 / 3 / 3) ** 0.5)
    assert pool([[1.0], [], [1.0]]).n == 2
    assert pool([[], []]) is None
    assert pool([[1.0, 3.0]]).difference().interval is None


values = st.lists(st.lists(st.lists(st.integers(-9, 12), max_size=3), min_size=4, max_size=4), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None)
@given(values, st.floats(0.5, 15))
def test_verdict_interval_and_p_value_agree(comparisons, margin):
    for (one, spread), data_sets in zip(family_over_data_sets(comparisons, margin=margin), comparisons, strict=True):
        n = sum(map(bool, data_sets))
        assert (one.verdict == TOO_FEW_DATA) == (n < MIN_DATA_SETS)
        assert one.difference.n == n
        if one.verdict == TOO_FEW_DATA:
            continue
        low, high = one.difference.interval
        assert spread >= 0
        assert (one.verdict in (BETTER, WORSE)) == (one.p_holm < ALPHA)
        if one.verdict in (BETTER, WORSE):
            assert low >= 0 if one.verdict == BETTER else high <= 0
        else:
            assert low <= 0 <= high
            assert (one.verdict == EQUAL) == (-margin < low and high < margin)


@pytest.mark.parametrize("tau", [0.0, 0.5, 2.0])
def test_intervals_cover_the_mean_of_the_population(tau):
    random, n_drawn = np.random.default_rng(1), 800
    spreads, effects = np.exp(random.uniform(-1, 1, (n_drawn, 5, 1))), random.normal(0, tau, (n_drawn, 5, 1))
    drawn = effects + spreads * random.normal(size=(n_drawn, 5, 6))
    found = [family_over_data_sets([one.tolist()])[0][0].verdict == NO_DIFFERENCE for one in drawn]
    assert np.mean(found) >= 0.95 - 3 * (0.05 * 0.95 / n_drawn) ** 0.5
    shown = [family_over_data_sets([(one + 4 + 2 * tau).tolist()])[0][0].verdict == BETTER for one in drawn[:100]]
    assert np.mean(shown) > 0.6
