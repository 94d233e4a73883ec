"""Disagreements between two initialisations on test examples."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.benchmark.analysis.disagreements import CATEGORIES, find_disagreements


def line(where, right, predicted=None):
    return {"where": where, "text": f"the text at {where}", "gold": "yes", "outcome": float(right),
            "prediction": {"label": predicted or ("yes" if right else "no")}}


def benchmark(answers, *, comparisons=None, task="classification", conditions=("all",)):
    """Summary, selected runs and predictions from ``answers``, lines by initialisation, condition and seed."""
    starts = list(dict.fromkeys(start for start, _, _ in answers))
    pairs = comparisons or [(start, "random", condition, "baseline") for condition in conditions for start in starts
                            if start != "random"]
    summary = {
        "task": task, "seeds": sorted({seed for _, _, seed in answers}),
        "conditions": [{"name": condition} for condition in conditions],
        "comparisons": [dict(zip(("start", "reference", "condition", "role"), pair, strict=True)) for pair in pairs],
    }
    selected = {run: "-".join(map(str, run)) for run in answers}
    lines = {selected[run]: predictions for run, predictions in answers.items()}
    return summary, selected, lines.get


def of_seeds(start, rows, condition="all"):
    """``rows``: for each location one character per seed: 1 (correct), 0 (wrong) or blank (not in the test set)."""
    n = max(map(len, rows.values()))
    return {(start, condition, seed): [line(where, marks[seed - 1] == "1") for where, marks in rows.items()
                                       if marks[seed - 1] != " "] for seed in range(1, n + 1)}


def test_examples_are_counted_by_majority_vote():
    glove = of_seeds("glove", {"a": "111", "b": "110", "c": "100", "d": "000", "e": "111"})
    theirs = of_seeds("random", {"a": "000", "b": "011", "c": "010", "d": "111", "e": "100"})
    (pair,) = find_disagreements(*benchmark(glove | theirs))
    assert (pair["start"], pair["reference"], pair["condition"]) == ("glove", "random", "all")
    assert [pair[side] for side in CATEGORIES] == [2, 1, 1, 1]
    assert [(one["where"], one["times_start"], one["times_reference"]) for one in pair["examples"]] == [
        ("a", 1.0, 0.0), ("e", 1.0, pytest.approx(1 / 3)), ("d", 0.0, 1.0)]
    assert pair["examples"][0] == {"text": "the text at a", "gold": "yes", "start": "yes", "reference": "no",
                                   "where": "a", "times_start": 1.0, "times_reference": 0.0}


def test_half_of_the_seeds_are_not_a_majority():
    (pair,) = find_disagreements(*benchmark(of_seeds("glove", {"a": "10"}) | of_seeds("random", {"a": "00"})))
    assert [pair[side] for side in CATEGORIES] == [0, 0, 0, 1]


def test_test_sets_may_differ_between_seeds():
    glove = of_seeds("glove", {"a": "1 1", "b": " 0 ", "c": "  1"})
    theirs = of_seeds("random", {"a": "0 0", "b": " 1 ", "c": "  1"})
    (pair,) = find_disagreements(*benchmark(glove | theirs))
    assert [pair[side] for side in CATEGORIES] == [1, 1, 1, 0]
    assert [one["where"] for one in pair["examples"]] == ["a", "b"]  # two seeds before one


def test_the_most_frequent_prediction_is_listed():
    ours = {("glove", "all", seed): [line("a", False, label)] for seed, label in enumerate(("no", "maybe", "maybe"), 1)}
    theirs = of_seeds("random", {"a": "111"})
    (pair,) = find_disagreements(*benchmark(ours | theirs))
    assert (pair["examples"][0]["start"], pair["examples"][0]["reference"]) == ("maybe", "yes")


def test_missing_runs_exclude_their_seed():
    """Seed 2 has no selected run and seed 3 no predictions; with them the reference would have the majority."""
    answers = of_seeds("glove", {"a": "100"}) | of_seeds("random", {"a": "011"})
    summary, selected, predictions_of = benchmark(answers)
    (pair,) = find_disagreements(summary, selected, predictions_of)
    assert [pair[side] for side in CATEGORIES] == [0, 1, 0, 0]
    del selected["random", "all", 2]
    selected["glove", "all", 3] = "no such file"
    (pair,) = find_disagreements(summary, selected, predictions_of)
    assert [pair[side] for side in CATEGORIES] == [1, 0, 0, 0]


def test_pairs_without_common_seeds_or_correct_predictions_are_omitted():
    apart = {("glove", "all", 1): [line("a", True)], ("random", "all", 2): [line("a", True)]}
    wrong = of_seeds("glove", {"a": "00"}) | of_seeds("random", {"a": "00"})
    assert find_disagreements(*benchmark(apart)) == find_disagreements(*benchmark(wrong)) == []


def test_only_comparisons_with_the_baseline_are_listed_by_condition():
    answers = {}
    for condition in ("few", "many"):
        for start, mark in (("random", "0"), ("glove", "1"), ("matched", "1")):
            answers |= of_seeds(start, {"a": mark}, condition)
    comparisons = [("glove", "random", "few", "baseline"), ("matched", "random", "few", "scale"),
                   ("glove", "random", "many", "baseline")]
    found = find_disagreements(*benchmark(answers, comparisons=comparisons, conditions=("few", "many")))
    assert [(pair["start"], pair["condition"]) for pair in found] == [("glove", "few"), ("glove", "many")]


@pytest.mark.parametrize(("n_ahead", "n_behind", "n", "shown"), [
    (9, 9, 8, (4, 4)), (9, 1, 8, (7, 1)), (1, 9, 8, (1, 7)), (2, 3, 8, (2, 3)), (9, 9, 5, (3, 2)), (9, 9, 1, (1, 0)),
    (0, 9, 1, (0, 1)), (3, 3, 0, (0, 0)),
])
def test_examples_favour_both_sides(n_ahead, n_behind, n, shown):
    rows = {f"{i:02}": ("1", "0") if i < n_ahead else ("0", "1") for i in range(n_ahead + n_behind)}
    glove = of_seeds("glove", {where: mark for where, (mark, _) in rows.items()})
    theirs = of_seeds("random", {where: mark for where, (_, mark) in rows.items()})
    (pair,) = find_disagreements(*benchmark(glove | theirs), n_examples=n)
    ahead = [one["times_start"] > one["times_reference"] for one in pair["examples"]]
    assert (sum(ahead), len(ahead) - sum(ahead)) == shown
    assert ahead == sorted(ahead, reverse=True)


def test_tags_are_listed_as_entities():
    words = ["New", "York", "is"]
    lines = [[{"where": "a", "text": "New York is", "gold": ["B-LOC", "I-LOC", "O"], "outcome": float(right),
               "prediction": {"tags": tags, "words": words}}]
             for tags, right in ((["B-LOC", "I-LOC", "O"], True), (["O", "O", "O"], False))]
    answers = {("glove", "all", 1): lines[0], ("random", "all", 1): lines[1]}
    (pair,) = find_disagreements(*benchmark(answers, task="tagging"))
    (example,) = pair["examples"]
    assert [example[name] for name in ("gold", "start", "reference")] == [*["New York (LOC)"] * 2, "no entity"]


marks = st.lists(st.lists(st.sampled_from("10 "), min_size=3, max_size=3).map("".join), min_size=1, max_size=12)


@given(marks, st.randoms(use_true_random=False))
def test_every_example_is_counted_once_and_swapping_the_starts_swaps_the_counts(rows, shuffled):
    ours = {str(i): row for i, row in enumerate(rows)}
    others = {where: "".join(" " if mark == " " else shuffled.choice("10") for mark in row)
              for where, row in ours.items()}
    found = find_disagreements(*benchmark(of_seeds("a", ours) | of_seeds("random", others)), n_examples=12)
    swapped = find_disagreements(*benchmark(of_seeds("a", others) | of_seeds("random", ours)), n_examples=12)
    if not any("1" in row for row in (*ours.values(), *others.values())):
        assert found == swapped == []
        return
    (one,), (other,) = found, swapped
    assert sum(one[side] for side in CATEGORIES) == sum(bool(row.strip()) for row in rows)
    mirrored = ("only_reference", "only_start", "both", "neither")
    assert [one[side] for side in CATEGORIES] == [other[side] for side in mirrored]
    assert {shown["where"] for shown in one["examples"]} == {shown["where"] for shown in other["examples"]}


def test_the_order_of_lines_and_runs_changes_nothing():
    drawn = random.Random(3)
    rows = {str(i): "".join(drawn.choice("10") for _ in range(5)) for i in range(40)}
    others = {where: "".join(drawn.choice("10") for _ in range(5)) for where in rows}
    answers = of_seeds("glove", rows) | of_seeds("random", others)
    mixed = {run: drawn.sample(lines, len(lines)) for run, lines in drawn.sample(list(answers.items()), len(answers))}
    summary, _, _ = benchmark(answers)
    assert find_disagreements(*benchmark(answers)) == find_disagreements(summary, *benchmark(mixed)[1:])


def test_eighty_runs_with_532_examples_are_fast():
    drawn = random.Random(1)
    answers = {}
    for condition in ("few", "many"):
        for start in ("random", "glove", "word2vec", "fasttext"):
            for seed in range(1, 11):
                answers[start, condition, seed] = [line(f"bbc:{i}", drawn.random() < 0.7) for i in range(532)]
    summary, selected, predictions_of = benchmark(answers, conditions=("few", "many"))
    read = []

    def reading(key):
        read.append(key)
        return predictions_of(key)

    before = time.process_time()
    found = find_disagreements(summary, selected, reading)
    assert time.process_time() - before < 2
    assert sorted(read) == sorted(selected.values())  # each once
    assert len(found) == 6
    assert all(sum(pair[side] for side in CATEGORIES) == 532 and len(pair["examples"]) == 8 for pair in found)
