"""Ranks and the answer of a benchmark, on scores whose order is known."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.benchmark.analysis.ranking import n_pairs, rank
from pipeline.benchmark.analysis.recommendation import joined, recommend
from pipeline.benchmark.analysis.statistics import as_family
from pipeline.benchmark.analysis.summary import costs, summarize
from tests.pipeline.benchmark.test_benchmark_summary import control, make_plan, make_records, start

FIFTY = {"50 training examples": 50}
CONDITION = "50 training examples"


def answer(levels, *, seconds=None, seeds=10, spread=0.01, **differing):
    """The sentence of a benchmark of sources whose scores vary around levels; the first source is the baseline."""
    plan = make_plan(tuple(map(start, levels)), sizes=FIFTY, seeds=list(range(1, seeds + 1)), **differing)
    records = make_records(plan, levels, spread=spread)
    for record in records:
        record["costs"]["vectors"]["seconds"] = (seconds or {}).get(record["start"], 1.0)
        record["costs"]["training"]["seconds"] = 1.0
    (found,) = recommend(summarize(plan, records), costs(plan, records))
    assert found["condition"] == CONDITION
    return found["sentence"]


def test_a_source_that_is_better_than_all_others_is_recommended():
    assert answer({"random": 0.3, "glove": 0.8, "word2vec": 0.6}) == (
        "Start from glove: it is better than word2vec and random.")
    assert answer({"random": 0.3, "glove": 0.8}) == "Start from glove: it is better than random."


def test_of_equal_sources_the_cheaper_one_is_recommended():
    levels = {"random": 0.3, "glove": 0.8, "word2vec": 0.801, "fasttext": 0.5}
    found = answer(levels, seconds={"glove": 1.0, "word2vec": 30.0}, spread=0.05)
    assert re.fullmatch(r"(glove and word2vec|word2vec and glove) cannot be told apart with these seeds; take glove, "
                        r"which .*\(seconds for vectors and training: .*glove 2\.0.*\)\.", found)
    assert "word2vec 31.0" in found


def test_without_a_clear_difference_in_cost_the_best_mean_is_recommended():
    levels = {"random": 0.3, "glove": 0.8, "word2vec": 0.8}
    found = answer(levels, seconds={"glove": 1.0, "word2vec": 0.95}, spread=0.05)
    assert found.split()[0] == re.search("take ([a-z0-9]+)", found)[1]
    assert "has the best mean, and no other is clearly cheaper" in found


def test_sources_that_are_not_better_than_the_baseline_are_not_recommended():
    assert answer({"random": 0.5, "glove": 0.5, "word2vec": 0.5}, spread=0.1) == (
        "No source is shown to be better than random with 10 seeds.")
    assert answer({"glove": 0.8, "random": 0.3, "word2vec": 0.5}) == (
        "Start from glove: it is better than word2vec and random.")


def test_the_number_of_seeds_that_is_missing_is_named():
    assert answer({"random": 0.3, "glove": 0.8, "word2vec": 0.6}, seeds=3) == (
        "Which source to start from cannot be said with 3 seeds; at least 7 are needed.")
    five = {"random": 0.1, "glove": 0.9, "word2vec": 0.7, "fasttext": 0.5, "file:a.txt": 0.4, "file:b.txt": 0.3}
    assert answer(five, seeds=8).endswith("To compare the sources with one another, at least 9 seeds are needed.")
    assert answer(five, seeds=9).startswith("Start from glove: it is better than word2vec, fasttext")


def test_smaller_scores_are_better_where_the_measure_says_so():
    assert answer({"random": 0.9, "glove": 0.3, "word2vec": 0.6}, measure="loss", smaller_is_better=True,
                  is_share=False) == "Start from glove: it is better than word2vec and random."


def test_controls_and_the_baseline_are_not_ranked():
    starts = (*map(start, ("random", "glove", "word2vec")), control("matched", "glove"))
    plan = make_plan(starts, sizes=FIFTY)
    found = rank(plan, {(one["name"], CONDITION): [0.1 * i] * 10 for i, one in enumerate(starts)})
    assert {one["start"] for one in found["ranks"]} == {"glove", "word2vec"}
    assert found["n_comparisons"] == n_pairs(plan) == len(found["pairs"]) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(6, 14))
def test_ranks_agree_with_the_verdicts_on_the_pairs(seed, k, n):
    names = ["random", *map(str, range(k))]
    drawn = np.random.default_rng(seed).normal(np.arange(k + 1)[:, None] * 0.5, 1, (k + 1, n))
    plan = make_plan(tuple(map(start, names)), sizes=FIFTY, seeds=list(range(n)))
    found = rank(plan, {(name, CONDITION): list(row) for name, row in zip(names, drawn, strict=True)})
    rows = {one["start"]: one for one in found["ranks"]}
    tested = as_family([drawn[names.index(one["start"])] - drawn[names.index(one["reference"])]
                        for one in found["pairs"]])
    assert [one["verdict"] for one in found["pairs"]] == [one.verdict for one in tested]
    for one in found["pairs"]:
        if one["verdict"] == "better":
            assert rows[one["start"]]["first"] <= rows[one["reference"]]["first"]
        elif one["verdict"] == "worse":
            assert rows[one["reference"]]["first"] <= rows[one["start"]]["first"]
    for name, row in rows.items():
        above = sum(one["verdict"] == ("worse" if one["start"] == name else "better")
                    for one in found["pairs"] if name in (one["start"], one["reference"]))
        below = sum(one["verdict"] == ("better" if one["start"] == name else "worse")
                    for one in found["pairs"] if name in (one["start"], one["reference"]))
        assert (row["first"], row["last"]) == (1 + above, k - below)
    assert [one["mean"] for one in found["ranks"]] == sorted((row["mean"] for row in rows.values()), reverse=True)


def test_intervals_of_ranks_contain_the_true_ranks():
    """With four equal pairs of sources, a wrong rank occurs in at most 5% of the benchmarks, plus simulation error."""
    draw, names = np.random.default_rng(1), ["random", "a", "b", "c", "d"]
    levels, n_wrong, n_benchmarks = np.array([0, 0, 0, 1, 1])[:, None], 0, 400
    plan = make_plan(tuple(map(start, names)), sizes=FIFTY)
    for _ in range(n_benchmarks):
        drawn = draw.normal(levels, 1, (5, 10))
        ranks = rank(plan, {(name, CONDITION): list(row) for name, row in zip(names, drawn, strict=True)})["ranks"]
        n_wrong += any(not (one["first"] <= (2 if one["start"] in "cd" else 4)
                            and one["last"] >= (1 if one["start"] in "cd" else 3)
                            and (one["last"] >= 2 if one["start"] in "cd" else one["first"] <= 3)) for one in ranks)
    assert n_wrong <= 0.05 * n_benchmarks + 3 * (0.05 * 0.95 * n_benchmarks) ** 0.5


@pytest.mark.parametrize(("names", "expected"), [(["a"], "a"), (["a", "b"], "a and b"), ("abc", "a, b and c")])
def test_names_are_joined(names, expected):
    assert joined(names) == expected
