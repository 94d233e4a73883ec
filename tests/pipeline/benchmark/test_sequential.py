"""Comparisons that are examined until they are settled: levels, verdicts, error rates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.benchmark.analysis import statistics
from pipeline.benchmark.analysis.pending import pending_cells, settlement
from pipeline.benchmark.analysis.sequential import factor, first_look, levels, looks, settle
from pipeline.benchmark.analysis.statistics import ALPHA, BETTER, EQUAL, NO_DIFFERENCE, TOO_FEW, WORSE, as_family
from pipeline.benchmark.analysis.summary import summarize
from tests.pipeline.benchmark.test_benchmark_summary import make_plan, make_records, start

SIZES = {"50 training examples": 50}


@pytest.fixture
def fewer_subsets(monkeypatch):
    """Tests with fewer random subsets, for speed."""
    monkeypatch.setattr(statistics, "MAX_EXACT", 11)
    monkeypatch.setattr(statistics, "N_RANDOM_SUBSETS", 1_999)


def test_levels_are_the_published_ones():
    """Boundaries for spending like O'Brien & Fleming, five equal looks: Lan & DeMets (1983); R package ldbounds."""
    z = stats.norm.isf(0.05 / 4)
    spent = tuple(4 * stats.norm.sf(z / (look / 5) ** 0.5) for look in range(1, 6))
    for numbers in ((1, 2, 3, 4, 5), (20, 40, 60, 80, 100)):
        found = [stats.norm.isf(level / 2) for level in levels(spent, numbers)]
        assert found == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)


def test_the_boundaries_are_crossed_as_often_as_stated():
    numbers = looks(2, 40)
    steps = np.random.default_rng(0).normal(size=(40_000, 40))
    z = np.cumsum(steps, axis=1)[:, [n - 1 for n in numbers]] / np.sqrt(numbers)
    bounds = np.array([stats.norm.isf(ALPHA / factor(1, m=2, n=n) / 2) for n in numbers])
    crossed = (np.abs(z) >= bounds).cumsum(axis=1) > 0
    for n, share in zip(numbers, crossed.mean(axis=0), strict=True):
        assert share == pytest.approx(ALPHA * n / (n + 20), abs=0.004)


@pytest.mark.parametrize("m", [1, 2, 3, 8, 9, 20])
def test_fewer_comparisons_have_a_higher_level(m):
    assert 2 ** (1 - first_look(m)) * factor(m, m=m, n=first_look(m)) < ALPHA  # a verdict is possible
    for n in looks(m, 200):
        factors = [factor(k, m=m, n=n) for k in range(1, m + 1)]
        assert factors == sorted(factors)
        assert all(one > k for k, one in enumerate(factors, start=1))


values = st.lists(st.lists(st.one_of(st.none(), st.integers(-20, 25)), min_size=16, max_size=16), min_size=1,
                  max_size=3)


@settings(max_examples=60, deadline=None)
@given(values, st.floats(0.5, 30))
def test_verdict_interval_and_p_value_agree(comparisons, margin):
    for one in settle(comparisons, 16, margin=margin):
        difference, p, verdict = one.tested.difference, one.tested.p_holm, one.tested.verdict
        assert one.is_settled == (verdict in (BETTER, WORSE, EQUAL))
        if verdict == TOO_FEW:
            continue
        low, high = difference.interval
        assert (verdict in (BETTER, WORSE)) == (p < ALPHA)
        if verdict in (BETTER, WORSE):
            assert low >= 0 if verdict == BETTER else high <= 0
        else:
            assert low <= 0 <= high
            assert (verdict == EQUAL) == (-margin < low and high < margin)


@settings(max_examples=40, deadline=None)
@given(values)
def test_a_settled_comparison_does_not_change(comparisons):
    before = settle(comparisons, 13, margin=4)
    for one, later in zip(before, settle(comparisons, 16, margin=4), strict=True):
        assert later == one if one.is_settled else later.n_seeds >= one.n_seeds


def test_fewer_seeds_than_the_first_look_have_no_verdict():
    (one,) = settle([[5.0, 6.0, 7.0, 5.5, 6.5, 5.2, 6.1]], 7)
    assert one.tested.verdict == TOO_FEW
    assert not one.is_settled
    assert settle([[5.0, 6.0, 7.0, 5.5, 6.5, 5.2, 6.1, 5.9]], 8)[0].tested.verdict == BETTER
    assert settle([], 8) == []


def claims(families, *verdicts, margin=None):
    """The share of families in which a comparison has one of the verdicts at any look."""
    n_seeds = families.shape[2]
    return np.mean([any(one.tested.verdict in verdicts for one in settle(family.tolist(), n_seeds, margin=margin))
                    for family in families])


DRAWS = {"normal": lambda random, shape: random.normal(size=shape),
         "t of 3": lambda random, shape: random.standard_t(3, size=shape),
         "skewed scores": lambda random, shape: np.subtract(*random.exponential(size=(2, *shape)) ** 2),
         "tied": lambda random, shape: random.choice([-1.0, 0.0, 0.0, 1.0], size=shape)}


@pytest.mark.parametrize("kind", DRAWS)
def test_families_have_false_claims_in_at_most_five_per_cent(kind, fewer_subsets):
    n_drawn = 250
    drawn = DRAWS[kind](np.random.default_rng(1), (n_drawn, 3, 25))
    assert claims(drawn, BETTER, WORSE) <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / n_drawn) ** 0.5


def test_repeated_looks_without_correction_would_have_more_false_claims(fewer_subsets):
    drawn = np.random.default_rng(1).normal(size=(250, 3, 25))
    wrong = np.mean([any(one.verdict in (BETTER, WORSE) for n in looks(3, 25)
                         for one in as_family(family[:, :n].tolist())) for family in drawn])
    assert wrong > ALPHA + 3 * (ALPHA * (1 - ALPHA) / 250) ** 0.5


def test_differences_of_the_margin_are_called_equal_in_at_most_five_per_cent(fewer_subsets):
    n_drawn = 400
    drawn = np.random.default_rng(2).normal(1.0, 0.8, size=(n_drawn, 1, 32))
    found = claims(drawn, EQUAL, margin=1.0)
    assert found <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / n_drawn) ** 0.5
    assert claims(drawn[:50] - 1, EQUAL, margin=1.0) > 0.95  # equal ones are settled


def until_settled(levels, n_seeds, *, spread=0.01, **differing):
    plan = make_plan(tuple(map(start, levels)), sizes=SIZES, seeds=range(1, n_seeds + 1), until_settled=True,
                     max_seeds=50, **differing)
    return summarize(plan, make_records(plan, levels, spread=spread))


def test_a_summary_lists_what_is_not_settled():
    found = until_settled({"random": 0.3, "glove": 0.8, "word2vec": 0.8}, 16, spread=0.05)
    (pair,) = found["ranking"]["pairs"]
    assert [(one["verdict"], one["n_seeds"], one["is_settled"]) for one in (*found["comparisons"], pair)] == [
        (BETTER, 10, True), (BETTER, 10, True), (NO_DIFFERENCE, 16, False)]
    assert [one["n"] for one in found["comparisons"]] == [len(one["differences"]) for one in found["comparisons"]]
    assert pending_cells(found) == {(name, "50 training examples") for name in ("glove", "word2vec")}
    assert settlement(found) == (
        "2 of 3 comparisons are settled, after 10 seeds. Not settled with 16 seeds: glove and word2vec (50 training "
        "examples). Without a margin, a comparison of equal sources is never settled.")
    assert found["comparisons"][0]["sentence"].endswith("after correction for 2 comparisons and repeated looks). "
                                                        "Settled after 10 seeds.")
    assert found["seeds_needed"] == found["comparisons"][0]["n_seeds"] == 10


def test_with_a_margin_equal_sources_are_settled():
    found = until_settled({"random": 0.3, "glove": 0.8, "word2vec": 0.8}, 16, spread=0.01, margin=5.0)
    assert pending_cells(found) == set()
    assert settlement(found).startswith("3 of 3 comparisons are settled, after ")
    assert settlement({**found, "until_settled": False}) == ""
