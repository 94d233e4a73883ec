"""Paired differences against scipy, enumeration and hand-computed cases, with coverage and error rates."""

import math
import warnings
from itertools import product
from statistics import fmean

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
    as_family,
    holm,
    paired,
    paired_all,
    seeds_needed,
)
from pipeline.errors import PipelineError

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


def inverted(values, alpha=0.05):
    """Ends of the set of means that the sign-flip test does not reject at ``alpha``, by bisection."""
    values = np.array(values, dtype=float)
    ends = []
    for outside in (values.min() - 1, values.max() + 1):
        inside = values.mean()
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if sign_flips(values - middle) > alpha else (inside, middle)
        ends.append(inside)
    return tuple(ends)


def test_paired_by_hand():
    found = paired([1.0, 2.0, 3.0])
    assert (found.n, found.mean) == (3, 2.0)
    assert found.effect_size == pytest.approx(2.0)  # a mean of 2 and a standard deviation of 1
    assert found.p == 0.25  # of 8 choices of signs, +++ and --- are as extreme
    assert found.interval == pytest.approx(stats.t.interval(0.95, 2, 2.0, 1 / math.sqrt(3)))


@pytest.mark.parametrize("values", [GAINS, [-3, 1], SKEWED])
def test_the_p_value_agrees_with_scipy(values):
    theirs = stats.permutation_test((values,), mean, permutation_type="samples", n_resamples=np.inf)
    assert paired(values).p == pytest.approx(theirs.pvalue, abs=1e-12)


@pytest.mark.parametrize("n", [7, 8, 9, 10])
def test_the_interval_is_the_inversion_of_the_test_at_the_attainable_level_above_95_per_cent(n):
    """Ends by bisection on the p-value."""
    values = np.random.default_rng(n).gamma(2.0, size=n) - 1
    rank = math.floor(0.05 * 2 ** (n - 1))
    assert paired(values).interval == pytest.approx(inverted(values, (rank + 0.5) / 2 ** (n - 1)), abs=1e-6)


def test_the_interval_of_six_pairs_lies_between_the_inversions_at_the_levels_around_alpha():
    """Ends by bisection on the p-value, at the attainable levels below and above 5%."""
    values = np.random.default_rng(6).gamma(2.0, size=6) - 1
    below, above = (inverted(values, (k + 0.5) / 32) for k in (1, 2))
    expected = [0.4 * outer + 0.6 * inner for outer, inner in zip(below, above, strict=True)]
    assert paired(values).interval == pytest.approx(expected, abs=1e-6)


def test_the_interval_of_six_pairs_by_hand():
    """The smallest difference, and the smallest mean of a pair's split, weighted 0.4 and 0.6: 5% of 32 is 1.6."""
    values = [1.0, 2.0, 4.0, 5.0, 7.0, 8.0]
    low, high = paired(values).interval
    assert low == pytest.approx(0.4 * 1.0 + 0.6 * 1.5)
    assert high == pytest.approx(0.4 * 8.0 + 0.6 * 7.5)


@pytest.mark.parametrize("n", range(2, 6))
def test_fewer_than_six_pairs_have_students_interval(n):
    values = np.random.default_rng(n).normal(size=n)
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert paired(values).interval == pytest.approx(expected)


COVERAGE = {"normal": (lambda random, shape: random.normal(size=shape), 0.94),
            "t3": (lambda random, shape: random.standard_t(3, size=shape), 0.94),
            "exponential": (lambda random, shape: random.exponential(size=shape) - 1, 0.90),
            "discrete": (lambda random, shape: np.rint(random.normal(size=shape)), 0.94),
            "tied": (lambda random, shape: random.choice([-1.0, 0.0, 1.0], size=shape), 0.94)}


@pytest.mark.parametrize("n", [6, 8, 10])
@pytest.mark.parametrize("kind", COVERAGE)
def test_intervals_contain_the_mean_as_often_as_they_say(kind, n):
    """2,000 draws, whose standard error is 0.5 to 0.7 points; ``speed/coverage.py`` simulates more cases."""
    draw, least = COVERAGE[kind]
    rows = draw(np.random.default_rng(n), (2000, n))
    found = paired_all(rows.tolist())
    assert np.mean([one.interval[0] <= 1e-9 and one.interval[1] >= -1e-9 for one in found]) >= least - 0.012
    students = 2 * stats.t.ppf(0.975, n - 1) * rows.std(axis=1, ddof=1) / math.sqrt(n)
    assert np.median([one.interval[1] - one.interval[0] for one in found]) <= 1.15 * np.median(students)


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
    assert paired([value + 10 for value in values]).p <= 5 / 100_000


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


def test_no_pairs_give_no_statistics():
    assert paired([]) == Difference(0, None, None, None, None)


def test_one_pair_has_no_interval():
    assert paired([0.3]) == Difference(1, 0.3, None, 1.0, None)


@pytest.mark.parametrize("value", [0.1, -0.1])
def test_equal_differences_have_a_degenerate_interval(value):
    found = paired([value] * 10)
    assert (found.mean, found.interval) == (pytest.approx(value), pytest.approx((value, value)))
    assert (found.p, found.effect_size) == (2 / 2**10, None)
    assert as_family([[value] * 10])[0].verdict == (BETTER if value > 0 else WORSE)


def test_differences_equal_up_to_rounding_count_as_equal():
    assert len({0.3 - 0.2, 0.4 - 0.3, 0.2 - 0.1}) == 3
    found = paired([0.3 - 0.2, 0.4 - 0.3, 0.2 - 0.1])
    assert found.effect_size is None
    assert found.interval == (found.mean, found.mean)


def test_zero_differences():
    found = paired([0.0] * 10)
    assert found == Difference(10, 0.0, (0.0, 0.0), 1.0, None)
    assert as_family([[0.0] * 10])[0].verdict == NO_DIFFERENCE


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
    found = as_family([values], m=m)[0].verdict
    assert (found == TOO_FEW) == (m * 2 / 2 ** len(values) >= 0.05)
    if len(values) >= seeds_needed(m):
        assert found == BETTER


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(-6, 30).map(lambda k: k / 500), min_size=5, max_size=10), min_size=1, max_size=6),
       st.integers(0, 3))
def test_interval_and_verdict_agree_in_every_family(comparisons, missing):
    m = len(comparisons) + missing
    found = as_family(comparisons, m=m)
    ps = [paired(one).p for one in comparisons]
    assert [one.p_holm for one in found] == holm([*ps, *[None] * missing])[:len(found)]
    for one in found:
        low, high = one.difference.interval
        assert low <= one.difference.mean + 1e-9 and one.difference.mean - 1e-9 <= high
        if one.verdict == BETTER:
            assert low >= 0 < high and one.p_holm < 0.05
        elif one.verdict == WORSE:
            assert high <= 0 > low and one.p_holm < 0.05
        elif one.verdict == NO_DIFFERENCE:
            assert low <= 0 <= high and one.p_holm >= 0.05


def test_intervals_of_a_family_contain_all_means_together():
    rows = np.random.default_rng(5).normal(size=(400, 4, 8)) + np.array([0.0, 0.0, 1.0, 2.0])[None, :, None]
    together = [all(one.difference.interval[0] <= mean <= one.difference.interval[1] for one, mean in
                    zip(as_family(family.tolist()), (0.0, 0.0, 1.0, 2.0), strict=True)) for family in rows]
    assert np.mean(together) >= 0.93  # 0.95, less two standard errors


def test_a_difference_that_the_test_does_not_show_has_zero_in_its_interval():
    """Six pairs without one of the sign: the interval at 95% alone would not contain zero."""
    values = [4.0, 5.0, 6.0, 7.0, 8.0, -0.1]
    assert paired(values).p == 2 / 32
    assert paired(values).interval[0] > 0
    one = as_family([values])[0]
    assert one.verdict == NO_DIFFERENCE and one.difference.interval[0] == 0.0


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
    return np.array([[one.verdict for one in as_family(rows[start : start + family].tolist())]
                     for start in range(0, len(rows), family)])


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
