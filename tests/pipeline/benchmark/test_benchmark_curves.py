"""Curves: confidence bands, areas, targets, and the expected best of n trials against enumeration."""

import math
from itertools import pairwise, product
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.benchmark.analysis.curves import area, band, expected_best, first_reached, median_time

unit = st.floats(0, 1)
quick = settings(max_examples=50, deadline=None)


def test_band_by_hand():
    mean, low, high = band([1.0, 2.0, 3.0])
    assert mean == 2
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-6)  # t(2) at 97.5 %


def test_a_single_value_has_no_band():
    assert band([0.5]) == (0.5, None, None)


def test_equal_values_have_a_band_of_zero_width():
    assert band([0.5, 0.5]) == (0.5, 0.5, 0.5)


def test_area_by_hand():
    assert area([10, 20, 40], [0.0, 1.0, 1.0]) == pytest.approx((5 + 20) / 30)
    assert area([10], [0.7]) is None
    assert area([], []) is None
    assert area([3, 3], [0.2, 0.4]) is None


@given(st.lists(st.tuples(st.integers(1, 50), unit), min_size=2, max_size=12))
def test_area_is_the_mean_height_of_the_interpolated_curve(steps):
    xs = np.cumsum([gap for gap, _ in steps]).tolist()
    ys = [height for _, height in steps]
    fine = np.linspace(xs[0], xs[-1], 20_001)
    heights = np.interp(fine, xs, ys)
    assert area(xs, ys) == pytest.approx((heights[:-1] + heights[1:]).mean() / 2, abs=2e-3)
    assert area([2 * x + 7 for x in xs], ys) == pytest.approx(area(xs, ys))


def test_first_reached_returns_the_first_value_at_the_target():
    assert first_reached([0.1, 0.8, 0.6, 0.9], 0.8) == 1
    assert first_reached([0.1, 0.8], 0.81) is None
    assert first_reached([9.0, 4.0, 5.0], 4.5, smaller_is_better=True) == 1
    assert first_reached([math.nan, 0.5], 0.4) == 1
    assert first_reached([math.nan], 0.4, smaller_is_better=True) is None
    assert first_reached([], 0.5) is None


@pytest.mark.parametrize(("times", "median"), [
    ([3, 1, 2], 2), ([4, 1, 2, 3], 2), ([None, 1, 2], 2), ([None, None, 1], None), ([None, 5, None, 1], 5),
    ([7], 7), ([None], None), ([], None)])
def test_median_time_includes_censored_runs(times, median):
    assert median_time(times) == median


@given(st.lists(st.one_of(st.none(), st.integers(1, 9)), min_size=1, max_size=12))
def test_median_time_is_the_first_time_by_which_half_reached_it(times):
    def half_reached(by):
        return sum(time is not None and time <= by for time in times) * 2 >= len(times)

    assert median_time(times) == next((by for by in range(1, 10) if half_reached(by)), None)


def enumerated_best(choose_by, scores, n):
    """Mean over all samples of n trials, ties broken uniformly."""
    found = []
    for drawn in product(range(len(scores)), repeat=n):
        best = max(choose_by[index] for index in drawn)
        found.append(fmean([scores[index] for index in range(len(scores)) if choose_by[index] == best]))
    return fmean(found)


@quick
@given(st.lists(st.tuples(st.integers(0, 3), unit), min_size=1, max_size=5))
def test_expected_best_agrees_with_enumeration(trials):
    choose_by, scores = zip(*trials, strict=True)
    expected = [enumerated_best(choose_by, scores, n) for n in range(1, len(scores) + 1)]
    assert expected_best(choose_by, scores) == pytest.approx(expected)


@quick
@given(st.lists(unit, min_size=1, max_size=30))
def test_expected_best_increases_with_trials(scores):
    found = expected_best(scores, scores)
    assert found[0] == pytest.approx(fmean(scores))
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(found))
    assert found[-1] <= max(scores) + 1e-12


def test_expected_best_of_no_trials_is_empty():
    assert expected_best([], []) == []
