"""The summary of a benchmark, which depends on the results alone, and the costs of its runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any

from pipeline.benchmark.analysis.comparisons import Comparisons
from pipeline.benchmark.analysis.curves import expected_best
from pipeline.benchmark.analysis.label_budget import label_budget
from pipeline.benchmark.analysis.learning_curves import StepCurves, over_sizes
from pipeline.benchmark.analysis.ranking import rank
from pipeline.benchmark.analysis.rivals import compare_rivals
from pipeline.benchmark.analysis.selection import (
    Record,
    Results,
    dev_score,
    finite_measure,
    is_done,
    larger_is_better,
    mean_of_known,
    trial_name,
)
from pipeline.benchmark.analysis.sequential import seeds_for_a_verdict
from pipeline.benchmark.analysis.statistics import ALPHA

STAGES = ("vectors", "training", "prediction")
COPIED_FROM_PLAN = ("task", "data", "measure", "is_share", "smaller_is_better", "margin", "baseline", "seeds", "starts",
                    "conditions", "tuned", "command")


def summarize(plan: Mapping[str, Any], records: Iterable[Record]) -> dict[str, Any]:
    """Compute the contents of ``summary.json``: scores, comparisons with verdicts, and curves, without times.

    Args:
        plan: :meth:`pipeline.benchmark.plan.Plan.to_dict`.
        records: the last record of each key, in any order. Missing and failed runs, and scores that are not finite, are
            excluded from the comparisons, together with their pairs.
    """
    results = Results(plan, records)
    cells = [_cell(results, *names) for names in results.cells()]
    scores = {(cell["start"], cell["condition"]): cell["scores"] for cell in cells}
    comparisons = Comparisons(plan, scores)
    return {
        **{key: plan[key] for key in COPIED_FROM_PLAN},
        "n_runs": {"planned": results.n_planned, "done": len(results.done), "failed": len(results.failed)},
        "alpha": ALPHA,
        "n_comparisons": comparisons.m,
        "seeds_needed": seeds_for_a_verdict(plan, comparisons.m),
        "until_settled": plan.get("until_settled", False),
        "cells": cells,
        "comparisons": comparisons.tested(),
        "steps": comparisons.steps(),
        "ranking": rank(plan, scores),
        "rivals": compare_rivals(plan, scores),
        "curves": [{"start": curve["start"], "condition": condition, **curve}
                   for condition, curves in _step_curves(results).items() for curve in curves.to_dicts()],
        "size_curves": over_sizes(plan, cells),
        "label_budget": label_budget(plan, cells),
        "best_of": [best for names in results.cells()
                    if names[0] not in results.rivals and (best := _best_of(results, *names))],
        "failures": [{key: record[key] for key in ("name", "key", "error")} for record in results.failed],
    }


def costs(plan: Mapping[str, Any], records: Iterable[Record]) -> dict[str, Any]:
    """Compute the contents of ``costs.json``: measured seconds and MiB of each stage of the runs.

    Args:
        plan: as for :func:`summarize`.
        records: as for :func:`summarize`.
    """
    results = Results(plan, records)
    curves = _step_curves(results)
    return {
        "cells": [{"start": name, "condition": condition, **_costs(results.successful(name, condition)),
                   "target_seconds": curves[condition].seconds_to_target(name)}
                  for name, condition in results.cells()],
        "seconds": math.fsum(record["costs"][stage]["seconds"] for record in results.done for stage in STAGES),
    }


def _cell(results: Results, name: str, condition: str) -> dict[str, Any]:
    plan = results.plan
    measure, selected = plan["measure"], results.selected(name, condition)
    records = [one[1] for one in selected if one]
    scores = [one and finite_measure(one[1]["test"], measure) for one in selected]
    known = [score for score in scores if score is not None]
    n_train = mean_of_known(record["data"]["sizes"]["train"] for record in records)
    return {
        "start": name,
        "condition": condition,
        "n": len(known),
        "scores": scores,
        "mean": fmean(known) if known else None,
        "spread": _standard_deviation(known),
        "sampling_error": mean_of_known(finite_measure(record["sampling_error"], measure) for record in records),
        "dev_mean": mean_of_known(finite_measure(record["dev"], measure) for record in records),
        "coverage": mean_of_known(record["coverage"].get("test_tokens") for record in records),
        "chosen": (_selection_counts(plan, [one[0] for one in selected if one])
                   if plan["tuned"] and name not in results.rivals else None),
        "measures": _mean_measures([record["test"] for record in records]),
        "baselines": _baselines(records, measure),
        "n_train": None if n_train is None else round(n_train),
        "steps": mean_of_known(record["training"].get("steps") for record in records),
        "epochs": mean_of_known(record["training"].get("epochs") for record in records),
    }


def _standard_deviation(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _mean_measures(measures: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Average every numeric measure over the runs."""
    names = dict.fromkeys(name for one in measures for name in one)
    means = {name: mean_of_known(finite_measure(one, name) for one in measures) for name in names}
    return {name: mean for name, mean in means.items() if mean is not None}


def _selection_counts(plan: Mapping[str, Any], names: Sequence[str]) -> dict[str, int]:
    """Count the seeds that selected each trial, in the plan's order."""
    counts = Counter(names)
    return {name: counts[name] for name in dict.fromkeys(trial_name(run["trial"]) for run in plan["runs"])
            if name in counts}


def _baselines(records: Sequence[Record], measure: str) -> dict[str, dict[str, float | None]]:
    names = dict.fromkeys(name for record in records for name in record["baselines"])
    known = {name: [score for record in records
                    if (score := finite_measure(record["baselines"].get(name, {}), measure)) is not None]
             for name in names}
    return {name: {"mean": fmean(scores), "spread": _standard_deviation(scores)}
            for name, scores in known.items() if scores}


def _step_curves(results: Results) -> dict[str, StepCurves]:
    """Return the curves of each condition."""
    return {condition["name"]: StepCurves(results.plan, {
        name: [one[1] for one in results.selected(name, condition["name"]) if one]
        for name in results.initialisations}) for condition in results.plan["conditions"]}


def _best_of(results: Results, name: str, condition: str) -> dict[str, Any] | None:
    """Compute the expected score of the best of 1, 2, ... trials; None without trials.

    With tuning, it is the mean over the seeds with a complete set of trials; without, the seeds are the trials.
    """
    plan = results.plan
    seeds = [[_dev_and_test(plan, record) for record in trials.values()]
             for trials in results.trials(name, condition)]
    if plan["tuned"]:
        pools = [[scores for scores in pool if scores] for pool in seeds if pool and all(pool)]
    else:
        pools = [[scores for pool in seeds for scores in pool if scores]]
    on_dev = all(dev is not None for pool in pools for dev, _ in pool)
    curves = [expected_best([larger_is_better(plan, test) if dev is None or not on_dev else dev for dev, test in pool],
                            [test for _, test in pool]) for pool in pools]
    expected = [fmean(budget) for budget in zip(*curves, strict=True)]
    return {"start": name, "condition": condition, "chosen_on": "dev" if on_dev else "test", "expected": expected
            } if expected else None


def _dev_and_test(plan: Mapping[str, Any], record: Record | None) -> tuple[float | None, float] | None:
    """Return the dev score, larger being better, and the test score."""
    test = finite_measure(record["test"], plan["measure"]) if is_done(record) else None
    return None if test is None or record is None else (dev_score(plan, record), test)


def _costs(records: Sequence[Record]) -> dict[str, Any]:
    spent = [record["costs"] for record in records]
    stages = {stage: {"seconds": median(one[stage]["seconds"] for one in spent) if spent else None,
                      "peak_memory_mb": max((one[stage]["peak_memory_mb"] for one in spent), default=None)}
              for stage in STAGES}
    speeds = [speed for one in spent if (speed := one["training"].get("tokens_per_second")) is not None]
    return {**stages, "tokens_per_second": median(speeds) if speeds else None}
