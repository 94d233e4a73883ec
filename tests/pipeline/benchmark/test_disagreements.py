"""What one start gets right and another wrong."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.benchmark.analysis.disagreements import flips

SIDES = ("only_start", "only_reference", "both", "neither")


def line(where, right, said=None):
    return {"where": where, "text": f"the text at {where}", "gold": "yes", "outcome": float(right),
            "prediction": {"label": said or ("yes" if right else "no")}}


def benchmark(answers, *, comparisons=None, task="classification", conditions=("all",)):
    """A summary, which runs count, and what they said; ``answers``: (start, condition, seed) to lines."""
    starts = list(dict.fromkeys(start for start, _, _ in answers))
    pairs = comparisons or [(start, "random", condition, "baseline") for condition in conditions for start in starts
                            if start != "random"]
    summary = {
        "task": task, "seeds": sorted({seed for _, _, seed in answers}),
        "conditions": [{"name": condition} for condition in conditions],
        "comparisons": [dict(zip(("start", "reference", "condition", "role"), pair, strict=True)) for pair in pairs],
    }
    counting = {run: "-".join(map(str, run)) for run in answers}
    lines = {counting[run]: said for run, said in answers.items()}
    return summary, counting, lines.get


def of_seeds(start, rows, condition="all"):
    """``rows``: place to a string of 1 (right), 0 (wrong) and blank (not in the test set), a character a seed."""
    n = max(map(len, rows.values()))
    return {(start, condition, seed): [line(where, told[seed - 1] == "1") for where, told in rows.items()
                                       if told[seed - 1] != " "] for seed in range(1, n + 1)}


def test_examples_are_counted_by_what_most_seeds_had_right():
    glove = of_seeds("glove", {"a": "111", "b": "110", "c": "100", "d": "000", "e": "111"})
    theirs = of_seeds("random", {"a": "000", "b": "011", "c": "010", "d": "111", "e": "100"})
    (pair,) = flips(*benchmark(glove | theirs))
    assert (pair["start"], pair["reference"], pair["condition"]) == ("glove", "random", "all")
    assert [pair[side] for side in SIDES] == [2, 1, 1, 1]
    assert [(one["where"], one["times_start"], one["times_reference"]) for one in pair["examples"]] == [
        ("a", 1.0, 0.0), ("e", 1.0, pytest.approx(1 / 3)), ("d", 0.0, 1.0)]
    assert pair["examples"][0] == {"text": "the text at a", "gold": "yes", "start": "yes", "reference": "no",
                                   "where": "a", "times_start": 1.0, "times_reference": 0.0}


def test_half_the_seeds_are_not_most():
    (pair,) = flips(*benchmark(of_seeds("glove", {"a": "10"}) | of_seeds("random", {"a": "00"})))
    assert [pair[side] for side in SIDES] == [0, 0, 0, 1]


def test_seeds_with_other_test_sets_count_where_they_tested():
    glove = of_seeds("glove", {"a": "1 1", "b": " 0 ", "c": "  1"})
    theirs = of_seeds("random", {"a": "0 0", "b": " 1 ", "c": "  1"})
    (pair,) = flips(*benchmark(glove | theirs))
    assert [pair[side] for side in SIDES] == [1, 1, 1, 0]
    assert [one["where"] for one in pair["examples"]] == ["a", "b"]  # two seeds before one


def test_what_was_said_is_what_was_said_most_often():
    said = {("glove", "all", seed): [line("a", False, label)] for seed, label in enumerate(("no", "maybe", "maybe"), 1)}
    theirs = of_seeds("random", {"a": "111"})
    (pair,) = flips(*benchmark(said | theirs))
    assert (pair["examples"][0]["start"], pair["examples"][0]["reference"]) == ("maybe", "yes")


def test_runs_that_are_missing_leave_their_seed_out():
    """Seed 2 has no run that counts, seed 3 no predictions; with them the reference would be right in most."""
    answers = of_seeds("glove", {"a": "100"}) | of_seeds("random", {"a": "011"})
    summary, counting, predictions_of = benchmark(answers)
    (pair,) = flips(summary, counting, predictions_of)
    assert [pair[side] for side in SIDES] == [0, 1, 0, 0]
    del counting["random", "all", 2]
    counting["glove", "all", 3] = "no such file"
    (pair,) = flips(summary, counting, predictions_of)
    assert [pair[side] for side in SIDES] == [1, 0, 0, 0]


def test_pairs_without_a_common_seed_or_anything_right_are_left_out():
    assert flips(*benchmark({("glove", "all", 1): [line("a", True)], ("random", "all", 2): [line("a", True)]})) == []
    assert flips(*benchmark(of_seeds("glove", {"a": "00"}) | of_seeds("random", {"a": "00"}))) == []


def test_only_comparisons_with_the_baseline_are_told_condition_by_condition():
    answers = {}
    for condition in ("few", "many"):
        for start, told in (("random", "0"), ("glove", "1"), ("matched", "1")):
            answers |= of_seeds(start, {"a": told}, condition)
    comparisons = [("glove", "random", "few", "baseline"), ("matched", "random", "few", "scale"),
                   ("glove", "random", "many", "baseline")]
    found = flips(*benchmark(answers, comparisons=comparisons, conditions=("few", "many")))
    assert [(pair["start"], pair["condition"]) for pair in found] == [("glove", "few"), ("glove", "many")]


@pytest.mark.parametrize(("n_ahead", "n_behind", "n", "shown"), [
    (9, 9, 8, (4, 4)), (9, 1, 8, (7, 1)), (1, 9, 8, (1, 7)), (2, 3, 8, (2, 3)), (9, 9, 5, (3, 2)), (9, 9, 1, (1, 0)),
    (0, 9, 1, (0, 1)), (3, 3, 0, (0, 0)),
])
def test_examples_are_of_both_directions(n_ahead, n_behind, n, shown):
    rows = {f"{i:02}": ("1", "0") if i < n_ahead else ("0", "1") for i in range(n_ahead + n_behind)}
    glove = of_seeds("glove", {where: told for where, (told, _) in rows.items()})
    theirs = of_seeds("random", {where: told for where, (_, told) in rows.items()})
    (pair,) = flips(*benchmark(glove | theirs), n_examples=n)
    ahead = [one["times_start"] > one["times_reference"] for one in pair["examples"]]
    assert (sum(ahead), len(ahead) - sum(ahead)) == shown
    assert ahead == sorted(ahead, reverse=True)


def test_tagged_words_are_told_as_entities():
    words = ["New", "York", "is"]
    lines = [[{"where": "a", "text": "New York is", "gold": ["B-LOC", "I-LOC", "O"], "outcome": float(right),
               "prediction": {"tags": tags, "words": words}}]
             for tags, right in ((["B-LOC", "I-LOC", "O"], True), (["O", "O", "O"], False))]
    answers = {("glove", "all", 1): lines[0], ("random", "all", 1): lines[1]}
    (pair,) = flips(*benchmark(answers, task="tagging"))
    (example,) = pair["examples"]
    assert [example[name] for name in ("gold", "start", "reference")] == [*["New York (LOC)"] * 2, "no entity"]


marks = st.lists(st.lists(st.sampled_from("10 "), min_size=3, max_size=3).map("".join), min_size=1, max_size=12)


@given(marks, st.randoms(use_true_random=False))
def test_every_example_is_counted_once_and_swapping_the_starts_swaps_the_counts(rows, shuffled):
    places = {str(i): told for i, told in enumerate(rows)}
    others = {where: "".join(" " if mark == " " else shuffled.choice("10") for mark in told)
              for where, told in places.items()}
    found = flips(*benchmark(of_seeds("a", places) | of_seeds("random", others)), n_examples=12)
    swapped = flips(*benchmark(of_seeds("a", others) | of_seeds("random", places)), n_examples=12)
    if not any("1" in told for told in (*places.values(), *others.values())):
        assert found == swapped == []
        return
    (one,), (other,) = found, swapped
    assert sum(one[side] for side in SIDES) == sum(bool(told.strip()) for told in rows)
    mirrored = ("only_reference", "only_start", "both", "neither")
    assert [one[side] for side in SIDES] == [other[side] for side in mirrored]
    assert {shown["where"] for shown in one["examples"]} == {shown["where"] for shown in other["examples"]}


def test_the_order_of_lines_and_runs_changes_nothing():
    drawn = random.Random(3)
    rows = {str(i): "".join(drawn.choice("10") for _ in range(5)) for i in range(40)}
    others = {where: "".join(drawn.choice("10") for _ in range(5)) for where in rows}
    answers = of_seeds("glove", rows) | of_seeds("random", others)
    mixed = {run: drawn.sample(lines, len(lines)) for run, lines in drawn.sample(list(answers.items()), len(answers))}
    summary, _, _ = benchmark(answers)
    assert flips(*benchmark(answers)) == flips(summary, *benchmark(mixed)[1:])


def test_eighty_runs_of_532_examples_are_quick():
    drawn = random.Random(1)
    answers = {}
    for condition in ("few", "many"):
        for start in ("random", "glove", "word2vec", "fasttext"):
            for seed in range(1, 11):
                answers[start, condition, seed] = [line(f"bbc:{i}", drawn.random() < 0.7) for i in range(532)]
    summary, counting, predictions_of = benchmark(answers, conditions=("few", "many"))
    read = []

    def reading(key):
        read.append(key)
        return predictions_of(key)

    before = time.process_time()
    found = flips(summary, counting, reading)
    assert time.process_time() - before < 2
    assert sorted(read) == sorted(counting.values())  # each but once
    assert len(found) == 6
    assert all(sum(pair[side] for side in SIDES) == 532 and len(pair["examples"]) == 8 for pair in found)
