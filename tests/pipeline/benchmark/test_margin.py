"""The verdict "practically equal": never outside the margin, its error rate and its power."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.benchmark.analysis.planning import power_of_equality, seeds_to_settle
from pipeline.benchmark.analysis.sentences import sentence
from pipeline.benchmark.analysis.statistics import BETTER, EQUAL, NO_DIFFERENCE, TOO_FEW, WORSE, as_family
from pipeline.benchmark.grid import Grid
from pipeline.errors import ConfigError

values = st.lists(st.lists(st.integers(-50, 50), min_size=2, max_size=12), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None)
@given(values, st.floats(0.1, 60))
def test_the_verdict_follows_from_the_interval(comparisons, margin):
    for one, without in zip(as_family(comparisons, margin=margin), as_family(comparisons), strict=True):
        assert one.difference == without.difference
        assert one.p_holm == without.p_holm
        if without.verdict == NO_DIFFERENCE:
            low, high = one.difference.interval
            assert (one.verdict == EQUAL) == (-margin < low and high < margin)
        else:
            assert one.verdict == without.verdict
            assert one.verdict in (BETTER, WORSE, TOO_FEW)


@pytest.mark.parametrize("n", [6, 10, 13])
def test_differences_of_the_margin_are_called_equal_in_at_most_five_per_cent(n):
    draw, n_drawn = np.random.default_rng(n), 1_000
    drawn = draw.normal(1.0, 0.5, (n_drawn, n))
    claimed = np.mean([as_family([row], margin=1.0)[0].verdict == EQUAL for row in drawn])
    assert claimed <= 0.05 + 3 * (0.05 * 0.95 / n_drawn) ** 0.5


@pytest.mark.parametrize(("spread", "n", "m"), [(1.0, 10, 1), (0.6, 8, 1), (0.8, 13, 3), (0.5, 12, 6)])
def test_the_power_agrees_with_a_simulation(spread, n, m):
    """The plan ignores the error of the standard deviation, which costs some of the power with few pairs."""
    draw, n_drawn = np.random.default_rng(0), 300
    drawn = draw.normal(0, spread, (n_drawn, m, n))
    observed = np.mean([as_family(list(family), margin=1.0)[0].verdict == EQUAL for family in drawn])
    assert observed == pytest.approx(power_of_equality(spread, n, 1.0, m), abs=0.12)


def test_the_power_is_that_of_two_one_sided_t_tests():
    critical = stats.t.ppf(0.975, 9)
    assert power_of_equality(1.0, 10, 2.0) == pytest.approx(1 - 2 * stats.t.sf(2 * 10**0.5 - critical, 9))
    assert power_of_equality(1.0, 5, 100.0) == 0.0  # five seeds show nothing
    assert power_of_equality(0.0, 6, 0.1) == 1.0


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 20), st.integers(1, 8))
def test_the_number_of_seeds_is_the_smallest_with_the_power(spread, m):
    needed = seeds_to_settle(spread, 1.0, m)
    if needed is None:
        assert power_of_equality(spread, 10_000, 1.0, m) < 0.8
    else:
        assert power_of_equality(spread, needed, 1.0, m) >= 0.8
        assert needed == 6 or power_of_equality(spread, needed - 1, 1.0, m) < 0.8


@pytest.mark.parametrize(("verdict", "interval", "expected"), [
    (EQUAL, [-0.003, 0.004], "With 50 examples, glove and random are practically equal: +0.00 points (95% confidence "
                             "interval -0.30 to 0.40, p = 0.500); the interval lies within ±0.5 points."),
    (NO_DIFFERENCE, [-0.009, 0.009], "no difference between glove and random is shown: +0.00 points (95% confidence "
                                     "interval -0.90 to 0.90, p = 0.500). If they were equal, this would be shown "
                                     "within ±0.5 points with a probability of "),
])
def test_sentences(verdict, interval, expected):
    plan = {"measure": "accuracy", "is_share": True, "smaller_is_better": False, "margin": 0.5}
    differences = [0.01, -0.01] * 5
    found = sentence(plan, {"n": 10, "verdict": verdict, "start": "glove", "reference": "random", "difference": 0.0,
                            "condition": "50 examples", "role": "baseline", "interval": interval, "p_holm": 0.5,
                            "differences": differences}, 1)
    assert expected in found
    if verdict == NO_DIFFERENCE:
        needed = seeds_to_settle(float(np.std(differences, ddof=1)), 0.005)
        assert found.endswith(f"for 80%, about {needed} seeds are needed.")


@pytest.mark.parametrize("margin", [0, -1, float("inf"), float("nan")])
def test_margins_are_positive(margin):
    with pytest.raises(ConfigError, match="margin"):
        Grid.from_mapping({"sources": ["glove"], "margin": margin})
