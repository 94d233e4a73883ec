"""Paired differences against scipy, independent code and hand-computed cases, with error rates under the null."""

import math
import warnings
from itertools import product
from statistics import NormalDist, fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.benchmark.analysis.statistics import (
    BETTER,
    NO_DIFFERENCE,
    TOO_FEW,
    WORSE,
    Difference,
    holm,
    paired,
    paired_all,
    seeds_needed,
    verdict,
)
from pipeline.errors import PipelineError

NORMAL = NormalDist()
GAINS = (21, 34, 8, 41, -6, 27, 19, 52, 11, 30)  # in thousandths: whole numbers tie in scipy too
SKEWED = np.rint(1_000 * (np.random.default_rng(0).exponential(size=12) - 1)).tolist()
quick = settings(max_examples=25, deadline=None)
differences = st.lists(st.integers(-500, 500).map(lambda k: k / 500), min_size=2, max_size=9)


def mean(values, axis=-1):
    return np.mean(values, axis=axis)


def sign_flips(values):
    """P-value of the sign-flip test by enumeration, in exact arithmetic for integers."""
    observed = abs(math.fsum(values))
    sums = [abs(math.fsum(sign * value for sign, value in zip(signs, values, strict=True)))
            for signs in product((1, -1), repeat=len(values))]
    return sum(total >= observed - 1e-12 for total in sums) / len(sums)


def bca(values, n_resamples=40_000, seed=7):
    """BCa interval by the formulas of Efron (1987)."""
    values = np.array(values)
    drawn = np.random.default_rng(seed).choice(values, size=(n_resamples, len(values))).mean(axis=1)
    below = np.mean(drawn < values.mean() - 1e-12) + np.mean(np.abs(drawn - values.mean()) <= 1e-12) / 2
    bias = NORMAL.inv_cdf(float(below))
    left_out = np.array([np.delete(values, index).mean() for index in range(len(values))])
    pulled = left_out.mean() - left_out
    acceleration = (pulled**3).sum() / (6 * (pulled**2).sum() ** 1.5)
    ends = []
    for share in (0.025, 0.975):
        z = bias + NORMAL.inv_cdf(share)
        ends.append(np.quantile(drawn, NORMAL.cdf(bias + z / (1 - acceleration * z))))
    return tuple(ends)


def test_paired_by_hand():
    found = paired([1.0, 2.0, 3.0])
    assert (found.n, found.mean) == (3, 2.0)
    assert found.effect_size == pytest.approx(2.0)  # a mean of 2 and a standard deviation of 1
    assert found.p == 0.25  # of 8 choices of signs, +++ and --- are as extreme
    low, high = found.interval
    assert 1 <= low < 2 < high <= 3


@pytest.mark.parametrize("values", [GAINS, [-3, 1], SKEWED])
def test_paired_agrees_with_scipy(values):
    found = paired(values)
    theirs = stats.permutation_test((values,), mean, permutation_type="samples", n_resamples=np.inf)
    assert found.p == pytest.approx(theirs.pvalue, abs=1e-12)
    interval = stats.bootstrap((values,), mean, method="BCa", n_resamples=9_999,
                               random_state=np.random.default_rng(0)).confidence_interval
    assert found.interval == pytest.approx((interval.low, interval.high), abs=1e-8 * np.ptp(values))


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_agrees_with_efrons_formulas(seed):
    random = np.random.default_rng(seed)
    values = random.gamma(2.0, size=12) - 1
    found = paired(values)
    assert found.interval == pytest.approx(bca(values), abs=0.04 * np.ptp(found.interval) + 0.01)


@quick
@given(differences)
def test_p_value_agrees_with_enumeration(values):
    found = paired(values)
    assert found.p == pytest.approx(sign_flips(values), abs=1e-12)
    assert found.p >= min(1.0, 2 / 2 ** len(values))
    assert found.mean == pytest.approx(fmean(values), abs=1e-12)


def test_many_pairs_use_random_signs():
    values = list(np.random.default_rng(3).normal(0.4, 1.0, size=20))
    exact = stats.permutation_test((values,), mean, permutation_type="samples", n_resamples=200_000,
                                   random_state=1).pvalue
    assert paired(values).p == pytest.approx(exact, abs=4 * math.sqrt(exact / 99_999))
    assert paired([value + 10 for value in values]).p == pytest.approx(2 / 100_000)


@quick
@given(st.lists(st.tuples(st.integers(400, 500), st.integers(400, 500)), min_size=2, max_size=9))
def test_accuracies_tie_if_their_counts_tie(counts):
    """Both methods must find the ties of the counts despite rounding errors."""
    floats = paired([one / 500 - other / 500 for one, other in counts])
    whole = paired([one - other for one, other in counts])
    assert floats.p == whole.p
    assert floats.interval == pytest.approx([end / 500 for end in whole.interval], abs=1e-8)


@quick
@given(differences, st.floats(1e-6, 1e6))
def test_results_are_invariant_to_the_unit(values, factor):
    plain, scaled = paired(values), paired([factor * value for value in values])
    assert scaled.p == pytest.approx(plain.p)
    assert scaled.mean == pytest.approx(factor * plain.mean, abs=1e-9 * factor)
    if plain.effect_size is not None:
        assert scaled.effect_size == pytest.approx(plain.effect_size, abs=1e-6)
        assert scaled.interval == pytest.approx([factor * end for end in plain.interval], abs=1e-8 * factor)


@quick
@given(differences)
def test_swapping_the_sides_mirrors_the_result(values):
    one, other = paired(values), paired([-value for value in values])
    assert other.p == pytest.approx(one.p)
    assert other.mean == -one.mean
    low, high = one.interval
    assert other.interval == pytest.approx((-high, -low), abs=1e-8)


@quick
@given(differences)
def test_the_interval_lies_within_the_differences(values):
    low, high = paired(values).interval
    assert min(values) - 1e-8 <= low <= high <= max(values) + 1e-8


def test_no_pairs_give_no_statistics():
    assert paired([]) == Difference(0, None, None, None, None)


def test_one_pair_has_no_interval():
    assert paired([0.3]) == Difference(1, 0.3, None, 1.0, None)


@pytest.mark.parametrize("value", [0.1, -0.1])
def test_equal_differences_have_a_degenerate_interval(value):
    found = paired([value] * 10)
    assert (found.mean, found.interval) == (pytest.approx(value), pytest.approx((value, value)))
    assert (found.p, found.effect_size) == (2 / 2**10, None)
    assert verdict(found, found.p, 1) == (BETTER if value > 0 else WORSE)


def test_differences_equal_up_to_rounding_count_as_equal():
    assert len({0.3 - 0.2, 0.4 - 0.3, 0.2 - 0.1}) == 3
    found = paired([0.3 - 0.2, 0.4 - 0.3, 0.2 - 0.1])
    assert found.effect_size is None
    assert found.interval == (found.mean, found.mean)


def test_zero_differences():
    found = paired([0.0] * 10)
    assert found == Difference(10, 0.0, (0.0, 0.0), 1.0, None)
    assert verdict(found, 1.0, 1) == NO_DIFFERENCE


@pytest.mark.parametrize("values", [
    [0.0], [0.0, 0.0], [1.0, 2.0], [0.0] * 9 + [1.0], [0.0] * 9 + [-1.0], [1e-300, 2e-300, 3e-300],
    [1e200, 2e200, -1e200], [5e-324, 0.0], [0.2] * 20, [1.0] * 19 + [1e12]])
def test_extreme_differences_give_finite_numbers_without_warnings(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = paired(values)
    assert all(map(math.isfinite, (found.mean, found.p, *(found.interval or ()), found.effect_size or 0.0)))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nonfinite_differences_are_rejected(value):
    with pytest.raises(PipelineError, match="finite"):
        paired([0.1, value])


def test_paired_all_equals_paired_one_by_one():
    random = np.random.default_rng(4)
    comparisons = [list(random.normal(size=n)) for n in (10, 3, 0, 10, 1, 17, 3, 10)] + [[0.5, 0.5, 0.5]]
    assert paired_all(comparisons) == [paired(one) for one in comparisons]


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_counts_comparisons_without_pairs():
    assert holm([0.01, None, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_preserves_order_and_never_decreases_p_values(ps):
    corrected = holm(ps)
    assert all(p <= q <= min(1.0, len(ps) * p + 1e-12) for p, q in zip(ps, corrected, strict=True))
    for (p, q), (other, other_q) in product(zip(ps, corrected, strict=True), repeat=2):
        assert q <= other_q or p > other
    assert holm(ps[::-1]) == corrected[::-1]


def test_seeds_needed():
    assert [seeds_needed(m) for m in (1, 2, 3, 6, 7, 100)] == [6, 7, 7, 8, 9, 12]
    assert seeds_needed(1, alpha=0.01) == 8


@given(st.integers(1, 10_000))
def test_one_seed_fewer_cannot_be_significant(m):
    n = seeds_needed(m)
    assert m * 2 / 2**n < 0.05 <= m * 2 / 2 ** (n - 1)


@quick
@given(st.lists(st.floats(0.1, 1), max_size=9), st.integers(1, 40))
def test_too_few_seeds_are_never_better(values, m):
    found = paired(values)
    p = None if found.p is None else min(1.0, m * found.p)
    assert (verdict(found, p, m) == TOO_FEW) == (m * 2 / 2 ** len(values) >= 0.05)
    if len(values) >= seeds_needed(m):
        assert verdict(found, p, m) == BETTER


@pytest.mark.parametrize(("interval", "p_holm", "expected"), [
    ((0.01, 0.03), 0.01, BETTER), ((-0.03, -0.01), 0.01, WORSE), ((0.01, 0.03), 0.05, NO_DIFFERENCE),
    ((-0.01, 0.03), 0.01, NO_DIFFERENCE), ((0.0, 0.03), 0.01, NO_DIFFERENCE), ((-0.03, 0.0), 0.01, NO_DIFFERENCE)])
def test_a_verdict_needs_both_interval_and_test(interval, p_holm, expected):
    assert verdict(Difference(10, sum(interval) / 2, interval, p_holm, 1.0), p_holm, 1) == expected


def accuracies(random, shape):
    """Accuracies on 500 texts, whose difficulty is the same for both sides of a pair."""
    return random.binomial(500, 0.85 + 0.01 * random.standard_normal(shape[1:]), size=shape) / 500


SCORES = {
    "normal": lambda random, shape: random.normal(size=shape),
    "skewed": lambda random, shape: random.exponential(size=shape) ** 2,
    "heavy-tailed": lambda random, shape: random.standard_t(2, size=shape),
    "accuracies of 500 texts": accuracies,
}


def verdicts(rows, family):
    """Verdicts of comparisons tested in families. *Shape:* ``(n_families, family)``."""
    found = paired_all(rows)
    made = []
    for start in range(0, len(found), family):
        these = found[start : start + family]
        made.append([verdict(one, p, family) for one, p in zip(these, holm([one.p for one in these]), strict=True)])
    return np.array(made)


def false_positive_rate(made):
    """Share of verdicts ``better`` or ``worse``."""
    return np.isin(made, [BETTER, WORSE]).mean()


@pytest.mark.parametrize("kind", SCORES)
def test_false_positive_rate_over_all_sign_patterns(kind):
    """Under the null all 2^10 sign patterns are equally likely; half of them suffice by symmetry."""
    one, other = SCORES[kind](np.random.default_rng(11), (2, 10))
    signs = np.array(list(product((1,), *[(1, -1)] * 9)))
    assert false_positive_rate(verdicts(signs * np.abs(one - other), family=1)) <= 0.05


@pytest.mark.parametrize("kind", SCORES)
def test_false_positive_rate_in_families_of_six(kind):
    one, other = SCORES[kind](np.random.default_rng(13), (2, 300, 10))
    assert false_positive_rate(verdicts(one - other, family=6)) <= 0.05


@pytest.mark.parametrize("family", [1, 6])
@pytest.mark.parametrize("kind", ["normal", "accuracies of 500 texts"])
def test_a_difference_of_two_standard_deviations_is_detected_with_ten_seeds(kind, family):
    one, other = SCORES[kind](np.random.default_rng(12), (2, 100 * family, 10))
    differences = one - other
    differences[::family] += 2 * differences.std()
    assert (verdicts(differences, family)[:, 0] == BETTER).mean() >= 0.8
