"""Summary and costs of a benchmark: each field against an independent computation on synthetic records."""

import copy
import json
import math
import random
from statistics import mean, median, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.benchmark.analysis.curves import expected_best
from pipeline.benchmark.analysis.selection import selected_keys
from pipeline.benchmark.analysis.sentences import sentence
from pipeline.benchmark.analysis.statistics import as_family, paired
from pipeline.benchmark.analysis.summary import costs, summarize
from pipeline.benchmark.driver import _warn_of_few_seeds

SEEDS = list(range(1, 11))
SIZES = {"20 training examples": 20, "50 training examples": 50}
LEVELS = {"random": 0.30, "glove": 0.80, "word2vec": 0.31}


def start(name, **differing):
    source, *further = name.split(" | ")
    frozen = further[-1:] == ["frozen"]
    return {"name": name, "source": source, "transforms": further[:-1] if frozen else further, "frozen": frozen,
            "control": None, "control_of": None, "settings": [], **differing}


def control(kind, of, frozen=False):
    return start(f"random,init={kind}:{of}" + " | frozen" * frozen, control=kind, control_of=of)


STARTS = tuple(map(start, LEVELS))


def make_plan(starts=STARTS, *, sizes=SIZES, seeds=SEEDS, tuned=None, **differing):
    tuned = tuned or {}
    trials = [{key: value} for key, values in tuned.items() for value in values] or [{}]
    runs = [{"start": one["name"], "condition": condition, "trial": trial, "seed": seed}
            for seed in seeds for condition in sizes for one in starts for trial in trials]
    return {
        "task": "classification", "data": "news", "counted": "texts", "measure": "accuracy", "is_share": True,
        "smaller_is_better": False, "margin": None, "baseline": starts[0]["name"], "seeds": list(seeds),
        "starts": list(starts),
        "conditions": [{"name": name, "limit_train": size, "vary": {}} for name, size in sizes.items()],
        "tuned": tuned, "target": None, "runs": [{"key": f"key{n}", **run} for n, run in enumerate(runs)],
        "command": "vecformer benchmark", **differing}


def make_records(plan, levels=LEVELS, *, dev=True, spread=0.02, steps=4):
    """One record per run; scores vary around a level by initialisation, and rise towards it during training."""
    noise = random.Random(5)
    sizes = {condition["name"]: condition["limit_train"] for condition in plan["conditions"]}
    records = []
    for run in plan["runs"]:
        size = sizes[run["condition"]]
        score = round((levels[run["start"]] + size / 1_000 + noise.gauss(0, spread)) * 500) / 500
        points = [{"epoch": epoch, "step": 3 * epoch, "examples": size * epoch,
                   "value": score * (1 - 0.5**epoch) + noise.gauss(0, 0.01)} for epoch in range(1, steps + 1)]
        records.append({
            **run, "status": "done", "name": f"{run['start']}, {run['condition']}, seed {run['seed']}",
            "config": {}, "data": {"name": "news", "sha256": "", "sizes": {"train": size, "test": 500}},
            "versions": {}, "test": {plan["measure"]: score, "macro_f1": score - 0.01, "n": 500, "labels": ["a", "b"]},
            "dev": {plan["measure"]: score + noise.gauss(0, 0.01)} if dev else {},
            "sampling_error": {plan["measure"]: 0.01 + score / 1_000},
            "baselines": {"tfidf+logreg": {plan["measure"]: 0.5 + noise.gauss(0, 0.01)}},
            "coverage": {"types": 0.8, "tokens": 0.9, "test_types": 0.7, "test_tokens": 0.8 + noise.random() / 10},
            "table": {"n_words": 100, "dim": 50, "spread": 0.1},
            "training": {"steps": 3 * steps, "epochs": steps, "best_epoch": steps, "tokens": 1_000},
            "curve": {"measure": plan["measure"], "on": "dev" if dev else "probe", "points": points},
            "costs": {"vectors": {"seconds": noise.random(), "peak_memory_mb": 500 + noise.random()},
                      "training": {"seconds": 1 + noise.random(), "peak_memory_mb": 700 + noise.random(),
                                   "tokens_per_second": 1_000 * noise.random()},
                      "prediction": {"seconds": noise.random(), "peak_memory_mb": 600.0},
                      "curve_seconds": [0.25 * epoch + 0.01 * noise.random() for epoch in range(1, steps + 1)]}})
    return records


def failed(record):
    identity = {key: record[key] for key in ("key", "name", "start", "condition", "trial", "seed")}
    return {**identity, "status": "failed", "error": "out of memory", "detail": ""}


def find(entries, **wanted):
    found = [entry for entry in entries if all(entry[key] == value for key, value in wanted.items())]
    assert len(found) == 1, f"{len(found)} entries with {wanted}"
    return found[0]


def of(records, name, condition):
    """Records of a cell by seed."""
    return {record["seed"]: record for record in records if (record["start"], record["condition"]) == (name, condition)}


PLAN = make_plan()
RECORDS = make_records(PLAN)
SUMMARY = summarize(PLAN, RECORDS)
COSTS = costs(PLAN, RECORDS)
FIFTY = "50 training examples"


def test_the_summary_has_its_keys_in_order():
    assert list(SUMMARY) == [
        "task", "data", "measure", "is_share", "smaller_is_better", "margin", "baseline", "seeds", "starts",
        "conditions", "tuned", "command", "n_runs", "alpha", "n_comparisons", "seeds_needed", "until_settled", "cells",
        "comparisons", "steps", "ranking", "rivals", "curves", "size_curves", "label_budget", "best_of", "failures"]
    assert SUMMARY["n_runs"] == {"planned": 60, "done": 60, "failed": 0}
    assert (SUMMARY["alpha"], SUMMARY["n_comparisons"], SUMMARY["seeds_needed"]) == (0.05, 4, 8)
    assert SUMMARY["starts"] == PLAN["starts"]
    assert SUMMARY["steps"] == SUMMARY["failures"] == []


@pytest.mark.parametrize("name", LEVELS)
@pytest.mark.parametrize("condition", SIZES)
def test_cells(name, condition):
    cell = find(SUMMARY["cells"], start=name, condition=condition)
    records = of(RECORDS, name, condition)
    scores = [records[seed]["test"]["accuracy"] for seed in SEEDS]
    assert (cell["n"], cell["scores"], cell["chosen"]) == (10, scores, None)
    assert (cell["n_train"], cell["steps"], cell["epochs"]) == (SIZES[condition], 12, 4)
    expected = {"mean": mean(scores), "spread": stdev(scores),
                "sampling_error": 0.01 + mean(scores) / 1_000,
                "dev_mean": mean(record["dev"]["accuracy"] for record in records.values()),
                "coverage": mean(record["coverage"]["test_tokens"] for record in records.values())}
    assert {key: cell[key] for key in expected} == pytest.approx(expected)
    assert cell["measures"] == pytest.approx({"accuracy": mean(scores), "macro_f1": mean(scores) - 0.01, "n": 500})
    simple = [record["baselines"]["tfidf+logreg"]["accuracy"] for record in records.values()]
    assert cell["baselines"]["tfidf+logreg"] == pytest.approx({"mean": mean(simple), "spread": stdev(simple)})


def test_comparisons_are_paired_by_seed_and_corrected_jointly():
    assert [(one["condition"], one["start"], one["reference"], one["role"]) for one in SUMMARY["comparisons"]] == [
        (condition, name, "random", "baseline") for condition in SIZES for name in ("glove", "word2vec")]
    differences = []
    for one in SUMMARY["comparisons"]:
        ours, theirs = (of(RECORDS, name, one["condition"]) for name in (one["start"], "random"))
        differences.append([ours[seed]["test"]["accuracy"] - theirs[seed]["test"]["accuracy"] for seed in SEEDS])
    for one, gaps, tested in zip(SUMMARY["comparisons"], differences, as_family(differences), strict=True):
        found = tested.difference
        assert one["differences"] == gaps
        assert (one["n"], one["difference"], one["interval"]) == (10, found.mean, list(found.interval))
        assert (one["p"], one["p_holm"], one["effect_size"]) == (found.p, tested.p_holm, found.effect_size)


def test_verdicts_and_their_sentences():
    better, none = (find(SUMMARY["comparisons"], start=name, condition=FIFTY) for name in ("glove", "word2vec"))
    assert (better["verdict"], none["verdict"]) == ("better", "no difference shown")
    low, high = (f"{100 * end:.1f}" for end in better["interval"])
    assert better["sentence"] == (
        f"With 50 training examples, glove is better than random: {100 * better['difference']:+.1f} points "
        f"(95% confidence interval {low} to {high}, p = {better['p_holm']:.3f} after Holm correction for 4 "
        "comparisons).")
    assert none["sentence"].startswith(
        "With 50 training examples, no difference between word2vec and random is shown: ")
    assert none["sentence"].endswith("About 40 seeds would halve the width of the interval.")


def test_the_summary_is_independent_of_order_and_times():
    shuffled = copy.deepcopy(RECORDS)
    random.Random(1).shuffle(shuffled)
    for record in shuffled:
        record["costs"] = {}
    assert json.dumps(summarize(PLAN, shuffled)) == json.dumps(SUMMARY)


def test_summary_and_costs_are_json_serialisable():
    assert json.loads(json.dumps(SUMMARY, allow_nan=False)) == SUMMARY
    assert json.loads(json.dumps(COSTS, allow_nan=False)) == COSTS


def test_records_of_other_plans_are_ignored():
    assert summarize(PLAN, [*RECORDS, {**RECORDS[0], "key": "another", "test": {"accuracy": 0.0}}]) == SUMMARY


def test_missing_and_failed_runs_exclude_their_pairs():
    gone = {("glove", FIFTY, 3), ("random", FIFTY, 4)}
    records = [record for record in RECORDS if (record["start"], record["condition"], record["seed"]) not in gone]
    place = next(n for n, record in enumerate(records)
                 if (record["start"], record["condition"], record["seed"]) == ("glove", FIFTY, 7))
    records[place] = failed(records[place])
    summary = summarize(PLAN, records)
    assert summary["n_runs"] == {"planned": 60, "done": 57, "failed": 1}
    assert summary["failures"] == [{"name": records[place]["name"], "key": records[place]["key"],
                                    "error": "out of memory"}]
    cell = find(summary["cells"], start="glove", condition=FIFTY)
    assert (cell["n"], cell["scores"][2], cell["scores"][6]) == (8, None, None)
    one = find(summary["comparisons"], start="glove", condition=FIFTY)
    whole = find(SUMMARY["comparisons"], start="glove", condition=FIFTY)
    assert one["n"] == 7
    assert one["differences"] == [whole["differences"][seed - 1] for seed in SEEDS if seed not in (3, 4, 7)]
    assert one["verdict"] == "too few seeds to say"
    assert one["sentence"] == (
        f"With 50 training examples, 7 seeds are too few to compare glove with random; the observed difference is "
        f"{100 * one['difference']:+.1f} points. 4 comparisons need at least 8 seeds.")


def test_an_initialisation_without_runs_has_an_empty_cell():
    summary = summarize(PLAN, [record for record in RECORDS if record["start"] != "glove"])
    cell = find(summary["cells"], start="glove", condition=FIFTY)
    assert cell == {
        "start": "glove", "condition": FIFTY, "n": 0, "scores": [None] * 10, "mean": None, "spread": None,
        "sampling_error": None, "dev_mean": None, "coverage": None, "chosen": None, "measures": {}, "baselines": {},
        "n_train": None, "steps": None, "epochs": None}
    one = find(summary["comparisons"], start="glove", condition=FIFTY)
    assert [one[key] for key in ("n", "difference", "interval", "p", "p_holm", "effect_size", "differences")] == [
        0, None, None, None, None, None, []]
    assert one["sentence"] == ("With 50 training examples, no seed has results for both glove and random. "
                               "4 comparisons need at least 8 seeds.")
    assert summary["n_comparisons"] == 4
    assert find(summary["size_curves"], start="glove") == {"start": "glove", "vary": {}, "points": [], "area": None}


def test_a_plan_without_records_can_be_summarized():
    summary, spent = summarize(PLAN, []), costs(PLAN, [])
    assert summary["n_runs"] == {"planned": 60, "done": 0, "failed": 0}
    assert (summary["curves"], summary["best_of"], spent["seconds"]) == ([], [], 0)
    nothing = {"seconds": None, "peak_memory_mb": None}
    assert spent["cells"][0] == {
        "start": "random", "condition": "20 training examples", "vectors": nothing, "training": nothing,
        "prediction": nothing, "tokens_per_second": None, "target_seconds": None}


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, 59)), st.sets(st.integers(0, 59)), st.sets(st.integers(0, 59)))
def test_any_incomplete_summary_is_json_serialisable(missing, failing, diverged):
    records = []
    for number, record in enumerate(RECORDS):
        if number in diverged:
            record = copy.deepcopy(record)
            record["test"]["accuracy"] = record["dev"]["accuracy"] = math.nan
            record["curve"]["points"][1]["value"] = math.inf
        if number not in missing:
            records.append(failed(record) if number in failing else record)
    summary = summarize(PLAN, records)
    json.dumps(summary, allow_nan=False)
    json.dumps(costs(PLAN, records), allow_nan=False)
    for cell in summary["cells"]:
        assert cell["n"] == sum(score is not None for score in cell["scores"])


@pytest.mark.parametrize(("seeds", "verdict"), [(7, "too few seeds to say"), (8, "better")])
def test_a_verdict_needs_enough_seeds(seeds, verdict):
    plan = make_plan(seeds=range(1, seeds + 1))
    summary = summarize(plan, make_records(plan))
    assert find(summary["comparisons"], start="glove", condition=FIFTY)["verdict"] == verdict


def test_one_comparison_needs_no_correction():
    plan = make_plan([start("random"), start("glove")], sizes={FIFTY: 50})
    [one] = summarize(plan, make_records(plan))["comparisons"]
    assert one["p_holm"] == one["p"] == 2 / 2**10
    assert one["sentence"].endswith(", p = 0.002).")
    plan["seeds"] = [1]
    [one] = summarize(plan, make_records(plan))["comparisons"]
    assert "1 seed is too few to compare" in one["sentence"]
    assert one["sentence"].endswith("1 comparison needs at least 6 seeds.")


def test_initialisations_with_equal_scores():
    records = [{**record, "test": {"accuracy": 0.5}} for record in RECORDS]
    one = summarize(PLAN, records)["comparisons"][0]
    assert (one["difference"], one["interval"], one["effect_size"]) == (0.0, [0.0, 0.0], None)
    assert one["sentence"].endswith("The scores are equal for every seed.")


def perplexities():
    plan = make_plan(measure="perplexity", is_share=False, smaller_is_better=True)
    return plan, make_records(plan, {"random": 40.0, "glove": 30.0, "word2vec": 50.0}, spread=0.5)


def test_differences_are_improvements_if_smaller_is_better():
    plan, records = perplexities()
    summary = summarize(plan, records)
    better, worse = (find(summary["comparisons"], start=name, condition=FIFTY) for name in ("glove", "word2vec"))
    assert (better["verdict"], worse["verdict"]) == ("better", "worse")
    ours, theirs = (of(records, name, FIFTY) for name in ("glove", "random"))
    assert better["differences"] == [-(ours[seed]["test"]["perplexity"] - theirs[seed]["test"]["perplexity"])
                                     for seed in SEEDS]
    low, high = better["interval"]
    assert better["sentence"].startswith(
        f"With 50 training examples, glove is better than random: perplexity {-better['difference']:+.1f} (95% "
        f"confidence interval {-high:.1f} to {-low:.1f}, p = ")
    assert "is worse than random: perplexity +" in worse["sentence"]


@pytest.mark.parametrize(("differing", "difference", "interval", "p", "expected"), [
    ({}, 0.583, (0.551, 0.61), 0.0058, "random: +58.3 points (95% confidence interval 55.1 to 61.0, p = 0.006)"),
    ({}, 0.0004, (0.0001, 0.0008), 0.0002, "+0.040 points (95% confidence interval 0.010 to 0.080, p < 0.001)"),
    ({}, 0.01, (0.001, 0.02), 0.04996, "+1.0 points (95% confidence interval 0.1 to 2.0, p = 0.04996)"),
    ({"is_share": False, "measure": "bleu"}, 1.3, (-0.0, 2.1), 0.02,
     "bleu +1.30 (95% confidence interval 0.00 to 2.10, p = 0.020)"),
    ({"is_share": False, "measure": "perplexity", "smaller_is_better": True}, 1234.5, (1000.0, 1500.0), 0.01,
     "perplexity -1,234 (95% confidence interval -1,500 to -1,000, p = 0.010)"),
    ({"measure": "calibration_error", "smaller_is_better": True}, 0.021, (0.01, 0.03), 0.01,
     "calibration_error -2.1 points (95% confidence interval -3.0 to -1.0, p = 0.010)")])
def test_numbers_in_sentences(differing, difference, interval, p, expected):
    comparison = {"start": "glove", "reference": "random", "condition": FIFTY, "role": "baseline", "n": 10,
                  "difference": difference, "interval": interval, "p_holm": p, "verdict": "better"}
    assert expected in sentence({**PLAN, **differing}, comparison, m=1)


def test_the_target_is_above_the_best_if_smaller_is_better():
    plan, records = perplexities()
    for record in records:
        for point in record["curve"]["points"]:
            point["value"] = 100 - point["value"]
    curve = find(summarize(plan, records)["curves"], start="word2vec", condition=FIFTY)
    best = min(min(point["mean"] for point in curve["points"])
               for curve in summarize(plan, records)["curves"] if curve["condition"] == FIFTY)
    assert curve["target"]["value"] == pytest.approx(best / 0.95)
    assert curve["target"]["reached"] > 0


def test_curves_over_steps():
    for curve in SUMMARY["curves"]:
        records = of(RECORDS, curve["start"], curve["condition"])
        values = np.array([[point["value"] for point in records[seed]["curve"]["points"]] for seed in SEEDS])
        assert (curve["measure"], curve["on"]) == ("accuracy", "dev")
        assert [point["step"] for point in curve["points"]] == [3, 6, 9, 12]
        assert [point["examples"] for point in curve["points"]] == [SIZES[curve["condition"]] * n for n in (1, 2, 3, 4)]
        assert [point["mean"] for point in curve["points"]] == pytest.approx(values.mean(axis=0).tolist())
        for point, column in zip(curve["points"], values.T, strict=True):
            interval = stats.t.interval(0.95, 9, column.mean(), stats.sem(column))
            assert (point["low"], point["high"]) == pytest.approx(interval)
            assert point["n"] == 10
        areas = [np.trapezoid(row, [3, 6, 9, 12]) / 9 for row in values]
        assert curve["area"] == pytest.approx(mean(areas))
    assert len(SUMMARY["curves"]) == 6


def test_the_target_is_a_share_of_the_best_mean_and_times_are_medians():
    for condition in SIZES:
        curves = [curve for curve in SUMMARY["curves"] if curve["condition"] == condition]
        target = 0.95 * max(point["mean"] for curve in curves for point in curve["points"])
        for curve in curves:
            steps = [next((point["step"] for point in record["curve"]["points"] if point["value"] >= target), math.inf)
                     for record in of(RECORDS, curve["start"], condition).values()]
            reached = curve["target"]
            assert reached["value"] == pytest.approx(target)
            assert (reached["reached"], reached["of"]) == (sum(map(math.isfinite, steps)), 10)
            middle = sorted(steps)[4]
            assert reached["steps"] == (middle if math.isfinite(middle) else None)
            assert reached["examples"] == (middle / 3 * SIZES[condition] if math.isfinite(middle) else None)
    assert find(SUMMARY["curves"], start="random", condition=FIFTY)["target"]["reached"] == 0
    assert find(SUMMARY["curves"], start="glove", condition=FIFTY)["target"]["reached"] >= 5


def test_a_given_target():
    summary = summarize({**PLAN, "target": 0.2}, RECORDS)
    assert {curve["target"]["value"] for curve in summary["curves"]} == {0.2}
    assert find(summary["curves"], start="random", condition=FIFTY)["target"]["steps"] == 6


def test_later_points_average_over_the_runs_that_reached_them():
    records = copy.deepcopy(RECORDS)
    lucky = of(records, "glove", FIFTY)[1]
    lucky["curve"]["points"].append({"epoch": 5, "step": 15, "examples": 250, "value": 1.0})
    curve = find(summarize(PLAN, records)["curves"], start="glove", condition=FIFTY)
    assert curve["points"][-1] == {"examples": 250, "step": 15, "mean": 1.0, "low": None, "high": None, "n": 1}
    before = find(SUMMARY["curves"], start="glove", condition=FIFTY)
    assert curve["target"]["value"] == before["target"]["value"]  # a single run does not determine the target


def test_curves_of_another_measure_use_its_direction():
    records = copy.deepcopy(RECORDS)
    for record in records:
        record["curve"]["measure"] = "loss"
        for point in record["curve"]["points"]:
            point["value"] = 2 - point["value"]
    curves = [curve for curve in summarize(PLAN, records)["curves"] if curve["condition"] == FIFTY]
    best = min(point["mean"] for curve in curves for point in curve["points"])
    assert {curve["target"]["value"] for curve in curves} == {best / 0.95}
    assert find(curves, start="glove")["target"]["reached"] > find(curves, start="random")["target"]["reached"]


def test_runs_without_a_curve():
    records = [{**record, "curve": {"measure": "loss", "on": "probe", "points": []}} for record in RECORDS]
    assert summarize(PLAN, records)["curves"] == []
    assert {cell["target_seconds"] for cell in costs(PLAN, records)["cells"]} == {None}


def test_curves_over_sizes():
    curve = find(SUMMARY["size_curves"], start="glove")
    cells = [find(SUMMARY["cells"], start="glove", condition=condition) for condition in SIZES]
    assert [point["n_train"] for point in curve["points"]] == [20, 50]
    for point, cell in zip(curve["points"], cells, strict=True):
        interval = stats.t.interval(0.95, 9, cell["mean"], cell["spread"] / math.sqrt(10))
        assert (point["mean"], point["low"], point["high"]) == pytest.approx((cell["mean"], *interval))
    assert curve["area"] == pytest.approx(mean(cell["mean"] for cell in cells))  # a straight line between two points


def test_curves_over_sizes_are_separated_by_varied_keys():
    plan = make_plan(sizes={"50 training examples, norm=pre": 50, "20 training examples, norm=pre": 20,
                            "50 training examples, norm=post": 50})
    for condition in plan["conditions"]:
        condition["vary"] = {"model.norm": condition["name"].rpartition("=")[2]}
    curves = [curve for curve in summarize(plan, make_records(plan))["size_curves"] if curve["start"] == "glove"]
    assert [curve["vary"] for curve in curves] == [{"model.norm": "pre"}, {"model.norm": "post"}]
    assert [[point["n_train"] for point in curve["points"]] for curve in curves] == [[20, 50], [50]]
    assert curves[1]["area"] is None


def test_without_tuning_the_seeds_are_the_trials():
    best = find(SUMMARY["best_of"], start="glove", condition=FIFTY)
    records = of(RECORDS, "glove", FIFTY).values()
    assert best["chosen_on"] == "dev"
    assert best["expected"] == pytest.approx(expected_best([record["dev"]["accuracy"] for record in records],
                                                           [record["test"]["accuracy"] for record in records]))


def test_without_dev_the_best_is_selected_on_the_test_set():
    best = find(summarize(PLAN, make_records(PLAN, dev=False))["best_of"], start="glove", condition=FIFTY)
    scores = [record["test"]["accuracy"] for record in of(make_records(PLAN, dev=False), "glove", FIFTY).values()]
    assert best["chosen_on"] == "test"
    assert best["expected"] == pytest.approx(expected_best(scores, scores))


RATES = [0.001, 0.003, 0.01]


def tuned(smaller_is_better=False):
    plan = make_plan(tuned={"training.lr": RATES}, smaller_is_better=smaller_is_better)
    return plan, make_records(plan)


@pytest.mark.parametrize("smaller_is_better", [False, True])
def test_the_best_trial_on_dev_is_selected_for_each_seed(smaller_is_better):
    plan, records = tuned(smaller_is_better)
    summary = summarize(plan, records)
    best = min if smaller_is_better else max
    for cell in summary["cells"]:
        chosen = [best((record for record in records if (record["start"], record["condition"], record["seed"])
                        == (cell["start"], cell["condition"], seed)), key=lambda record: record["dev"]["accuracy"])
                  for seed in SEEDS]
        assert cell["scores"] == [record["test"]["accuracy"] for record in chosen]
        names = [f"training.lr={record['trial']['training.lr']}" for record in chosen]
        assert cell["chosen"] == {name: names.count(name) for name in names}
        assert selected_keys(plan, records)[cell["start"], cell["condition"], 4] == chosen[3]["key"]
        dev = [record["dev"]["accuracy"] for record in chosen]
        assert cell["dev_mean"] == pytest.approx(mean(dev))


@pytest.mark.parametrize("smaller_is_better", [False, True])
def test_dev_loss_selects_if_dev_lacks_the_measure(smaller_is_better):
    plan, records = tuned(smaller_is_better)
    for record in records:
        record["dev"] = {"loss": 1 - record["dev"]["accuracy"]}
    best = {(start, condition, seed): max(
        (record for record in records if (record["start"], record["condition"], record["seed"])
         == (start, condition, seed)), key=lambda record: -record["dev"]["loss"])["key"]
        for start in LEVELS for condition in SIZES for seed in SEEDS}
    assert selected_keys(plan, records) == best
    assert find(summarize(plan, records)["best_of"], start="glove", condition=FIFTY)["chosen_on"] == "dev"


def test_without_dev_scores_no_trial_is_selected():
    plan, records = tuned()
    assert selected_keys(plan, [{**record, "dev": {}} for record in records]) == {}


def test_expected_best_decreases_if_smaller_is_better():
    plan, records = perplexities()
    without_dev = [{**record, "dev": {}} for record in records]
    for runs, chosen_on in ((records, "dev"), (without_dev, "test")):
        best = find(summarize(plan, runs)["best_of"], start="glove", condition=FIFTY)
        assert best["chosen_on"] == chosen_on
        assert best["expected"][-1] < best["expected"][0]
    scores = [record["test"]["perplexity"] for record in of(records, "glove", FIFTY).values()]
    assert best["expected"][0] == pytest.approx(mean(scores))
    assert min(scores) <= best["expected"][-1] < sorted(scores)[2]


def test_expected_best_of_tuned_trials_is_averaged_over_seeds():
    plan, records = tuned()
    best = find(summarize(plan, records)["best_of"], start="glove", condition=FIFTY)
    seeds = [[record for record in records if (record["start"], record["condition"], record["seed"])
              == ("glove", FIFTY, seed)] for seed in SEEDS]
    expected = np.mean([expected_best([record["dev"]["accuracy"] for record in trials],
                                      [record["test"]["accuracy"] for record in trials]) for trials in seeds], axis=0)
    assert (best["chosen_on"], best["expected"]) == ("dev", pytest.approx(expected.tolist()))
    assert len(best["expected"]) == 3


def test_a_failed_trial_counts_towards_the_budget_and_a_missing_one_blocks_selection():
    plan, records = tuned()
    trials = [record for record in records if (record["start"], record["condition"], record["seed"])
              == ("glove", FIFTY, 2)]
    best, *others = sorted(trials, key=lambda record: -record["dev"]["accuracy"])
    without = [record for record in records if record is not best]
    after_failure = find(summarize(plan, [*without, failed(best)])["cells"], start="glove", condition=FIFTY)
    assert after_failure["scores"][1] == others[0]["test"]["accuracy"]
    unfinished = find(summarize(plan, without)["cells"], start="glove", condition=FIFTY)
    assert (unfinished["scores"][1], unfinished["n"]) == (None, 9)
    rest = [record for record in records if record not in trials]
    all_failed = find(summarize(plan, [*rest, *map(failed, trials)])["cells"], start="glove", condition=FIFTY)
    assert (all_failed["scores"][1], all_failed["n"]) == (None, 9)


CONTROLLED = [start("random"), start("random | frozen"), start("glove"), start("glove | frozen"),
              *(control(kind, "glove", frozen) for kind in ("matched", "covariance", "shuffled")
                for frozen in (False, True))]
STEP_LEVELS = {"random": 0.30, "glove": 0.80, "random,init=matched:glove": 0.40, "random,init=covariance:glove": 0.42,
               "random,init=shuffled:glove": 0.50}


def controlled(starts=CONTROLLED):
    plan = make_plan(starts, sizes={FIFTY: 50})
    levels = {one["name"]: STEP_LEVELS[one["source"]] - 0.05 * one["frozen"] for one in starts}
    return plan, make_records(plan, levels)


def test_controls_decompose_a_gain():
    plan, records = controlled()
    summary = summarize(plan, records)
    means = {cell["start"]: cell["mean"] for cell in summary["cells"]}
    for frozen in (False, True):
        step = find(summary["steps"], source="glove", frozen=frozen, condition=FIFTY)
        tail = " | frozen" * frozen
        matched, shuffled, covariance = (means[f"random,init={kind}:glove{tail}"]
                                         for kind in ("matched", "shuffled", "covariance"))
        expected = {"total": means[f"glove{tail}"] - means[f"random{tail}"],
                    "scale": matched - means[f"random{tail}"], "geometry": shuffled - matched,
                    "meaning": means[f"glove{tail}"] - shuffled, "covariance": covariance - matched}
        assert {name: step[name]["difference"] for name in expected} == pytest.approx(expected)
        assert all(set(step[name]) == {"difference", "interval"} for name in expected)
        parts = sum(step[name]["difference"] for name in ("scale", "geometry", "meaning"))
        assert parts == pytest.approx(step["total"]["difference"])
        meaning = find(summary["comparisons"], role="meaning", start=f"glove{tail}", condition=FIFTY)
        gaps = paired([of(records, f"glove{tail}", FIFTY)[seed]["test"]["accuracy"]
                          - of(records, f"random,init=shuffled:glove{tail}", FIFTY)[seed]["test"]["accuracy"]
                          for seed in SEEDS])
        assert step["meaning"] == {"difference": gaps.mean, "interval": meaning["interval"]}
    assert len(summary["steps"]) == 2


def test_steps_are_tested_in_the_same_family():
    summary = summarize(*controlled())
    assert [(one["role"], one["start"], one["reference"]) for one in summary["comparisons"]] == [
        ("baseline", "random | frozen", "random"), ("baseline", "glove", "random"),
        ("baseline", "glove | frozen", "random"),
        ("scale", "random,init=matched:glove", "random"),
        ("geometry", "random,init=shuffled:glove", "random,init=matched:glove"),
        ("meaning", "glove", "random,init=shuffled:glove"),
        ("scale", "random,init=matched:glove | frozen", "random | frozen"),
        ("geometry", "random,init=shuffled:glove | frozen", "random,init=matched:glove | frozen"),
        ("meaning", "glove | frozen", "random,init=shuffled:glove | frozen")]
    assert (summary["n_comparisons"], summary["seeds_needed"]) == (9, 9)
    meaning = find(summary["comparisons"], start="glove", role="meaning")
    assert meaning["sentence"].startswith("With 50 training examples, glove is better than random,init=shuffled:glove "
                                          "(meaning step): +")


def test_a_pair_with_two_roles_is_tested_once():
    by_name = start("random,init=matched:glove")
    summary = summarize(*controlled([*CONTROLLED[:4], by_name, *CONTROLLED[4:]]))
    pairs = [(one["start"], one["reference"]) for one in summary["comparisons"]]
    assert len(pairs) == len(set(pairs)) == 9
    assert find(summary["comparisons"], start=by_name["name"], reference="random")["role"] == "baseline"
    assert len(summary["cells"]) == 10
    assert len(summary["steps"]) == 2


def test_steps_without_an_initialisation_are_empty():
    summary = summarize(*controlled([one for one in CONTROLLED if one["name"] != "random | frozen"]))
    step = find(summary["steps"], frozen=True)
    nothing = {"difference": None, "interval": None}
    assert step["total"] == step["scale"] == nothing
    assert step["meaning"] != nothing
    assert ("scale", "random,init=matched:glove | frozen") not in {
        (one["role"], one["start"]) for one in summary["comparisons"]}


def test_controls_belong_to_the_initialisation_with_the_same_transforms():
    starts = [start("random"), start("glove"), start("glove | unit"),
              start("random,init=matched:glove | unit", control="matched", control_of="glove")]
    plan = make_plan(starts, sizes={FIFTY: 50})
    summary = summarize(plan, make_records(plan, {one["name"]: 0.5 for one in starts}))
    assert [(step["source"], step["frozen"]) for step in summary["steps"]] == [("glove | unit", False)]
    assert find(summary["comparisons"], role="scale")["start"] == "random,init=matched:glove | unit"


def test_costs():
    for cell in COSTS["cells"]:
        records = of(RECORDS, cell["start"], cell["condition"]).values()
        for stage in ("vectors", "training", "prediction"):
            assert cell[stage] == {
                "seconds": median(record["costs"][stage]["seconds"] for record in records),
                "peak_memory_mb": max(record["costs"][stage]["peak_memory_mb"] for record in records)}
        assert cell["tokens_per_second"] == median(record["costs"]["training"]["tokens_per_second"]
                                                   for record in records)
        target = find(SUMMARY["curves"], start=cell["start"], condition=cell["condition"])["target"]["value"]
        seconds = sorted(next((second for point, second in zip(record["curve"]["points"],
                                                               record["costs"]["curve_seconds"], strict=True)
                               if point["value"] >= target), math.inf) for record in records)
        assert cell["target_seconds"] == (seconds[4] if math.isfinite(seconds[4]) else None)
    assert COSTS["seconds"] == pytest.approx(sum(record["costs"][stage]["seconds"] for record in RECORDS
                                                 for stage in ("vectors", "training", "prediction")))
    assert any(cell["target_seconds"] is not None for cell in COSTS["cells"])
    assert any(cell["target_seconds"] is None for cell in COSTS["cells"])


@pytest.mark.parametrize(("seeds", "expected"), [
    (7, ["7 seeds are too few for a verdict: 4 comparisons with random need at least 8. Add --seeds 8"]),
    (6, ["6 seeds are too few for a verdict: 4 comparisons with random need at least 8. Add --seeds 8",
         "6 seeds are too few for a verdict: 2 comparisons of the sources with one another need at least 7. Add "
         "--seeds 7"]),
    (8, [])])
def test_too_few_seeds_are_reported_before_the_first_run(seeds, expected, caplog):
    _warn_of_few_seeds({**PLAN, "seeds": list(range(1, seeds + 1))})
    assert [record.getMessage() for record in caplog.records] == expected
