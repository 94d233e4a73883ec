"""What a benchmark's runs come to: what they found, the same whatever their order and speed, and what they cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any

from pipeline.benchmark.analysis.comparisons import Comparisons
from pipeline.benchmark.analysis.curves import expected_best
from pipeline.benchmark.analysis.learning_curves import StepCurves, over_sizes
from pipeline.benchmark.analysis.selection import Record, Results, dev_goodness, goodness, is_done, number, trial_name
from pipeline.benchmark.analysis.statistics import ALPHA, seeds_needed

STAGES = ("vectors", "training", "prediction")
OF_THE_PLAN = ("task", "data", "measure", "is_share", "smaller_is_better", "baseline", "seeds", "starts", "conditions",
               "tuned", "command")


def summarize(plan: Mapping[str, Any], records: Iterable[Record]) -> dict[str, Any]:
    """What ``summary.json`` holds: scores, comparisons with their verdicts, curves; no times.

    Args:
        plan: what :meth:`pipeline.benchmark.plan.Plan.described` gives.
        records: the last of each key, in any order. Runs without one, and failed ones, leave their pairs out of the
            comparisons, whose ``n`` says so; so does a score that is not finite.
    """
    results = Results(plan, records)
    cells = [_cell(results, *place) for place in results.cells()]
    scores = {(cell["start"], cell["condition"]): cell["scores"] for cell in cells}
    comparisons = Comparisons(plan, scores)
    return {
        **{key: plan[key] for key in OF_THE_PLAN},
        "n_runs": {"planned": results.n_planned, "done": len(results.done), "failed": len(results.failed)},
        "alpha": ALPHA,
        "n_comparisons": comparisons.m,
        "seeds_needed": seeds_needed(comparisons.m),
        "cells": cells,
        "comparisons": comparisons.tested(),
        "steps": comparisons.steps(),
        "curves": [{"start": curve["start"], "condition": condition, **curve}
                   for condition, curves in _step_curves(results).items() for curve in curves.described()],
        "size_curves": over_sizes(plan, cells),
        "best_of": [best for place in results.cells() if (best := _best_of(results, *place))],
        "failures": [{key: record[key] for key in ("name", "key", "error")} for record in results.failed],
    }


def costs(plan: Mapping[str, Any], records: Iterable[Record]) -> dict[str, Any]:
    """What ``costs.json`` holds: seconds and memory of each stage of the runs, as measured.

    Args:
        plan: as for :func:`summarize`.
        records: likewise.
    """
    results = Results(plan, records)
    curves = _step_curves(results)
    return {
        "cells": [{"start": start, "condition": condition, **_costs(results.made(start, condition)),
                   "target_seconds": curves[condition].seconds_to_target(start)}
                  for start, condition in results.cells()],
        "seconds": math.fsum(record["costs"][stage]["seconds"] for record in results.done for stage in STAGES),
    }


def _cell(results: Results, start: str, condition: str) -> dict[str, Any]:
    plan = results.plan
    measure, counting = plan["measure"], results.counting(start, condition)
    records = [counted[1] for counted in counting if counted]
    scores = [counted and number(counted[1]["test"], measure) for counted in counting]
    known = [score for score in scores if score is not None]
    n_train = _over(records, lambda record: record["data"]["sizes"]["train"])
    return {
        "start": start,
        "condition": condition,
        "n": len(known),
        "scores": scores,
        "mean": fmean(known) if known else None,
        "spread": stdev(known) if len(known) > 1 else None,
        "sampling_error": _over(records, lambda record: number(record["sampling_error"], measure)),
        "dev_mean": _over(records, lambda record: number(record["dev"], measure)),
        "coverage": _over(records, lambda record: record["coverage"]["test_tokens"]),
        "chosen": _chosen(plan, [counted[0] for counted in counting if counted]) if plan["tuned"] else None,
        "measures": _means([record["test"] for record in records]),
        "baselines": _baselines(records, measure),
        "n_train": None if n_train is None else round(n_train),
        "steps": _over(records, lambda record: record["training"]["steps"]),
        "epochs": _over(records, lambda record: record["training"]["epochs"]),
    }


def _over(records: Iterable[Record], value: Callable[[Record], float | None]) -> float | None:
    """The mean of a value over the runs that have it."""
    known = [found for record in records if (found := value(record)) is not None]
    return fmean(known) if known else None


def _means(measures: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean of every measure that is a number."""
    names = dict.fromkeys(name for one in measures for name in one)
    known = {name: [value for one in measures if (value := number(one, name)) is not None] for name in names}
    return {name: fmean(values) for name, values in known.items() if values}


def _chosen(plan: Mapping[str, Any], names: Sequence[str]) -> dict[str, int]:
    """How many seeds chose each trial, in the plan's order."""
    counts = Counter(names)
    return {name: counts[name] for name in dict.fromkeys(trial_name(run["trial"]) for run in plan["runs"])
            if name in counts}


def _baselines(records: Sequence[Record], measure: str) -> dict[str, dict[str, float | None]]:
    names = dict.fromkeys(name for record in records for name in record["baselines"])
    known = {name: [score for record in records
                    if (score := number(record["baselines"].get(name, {}), measure)) is not None] for name in names}
    return {name: {"mean": fmean(scores), "spread": stdev(scores) if len(scores) > 1 else None}
            for name, scores in known.items() if scores}


def _step_curves(results: Results) -> dict[str, StepCurves]:
    """By condition."""
    return {condition["name"]: StepCurves(results.plan, {
        start: [counted[1] for counted in results.counting(start, condition["name"]) if counted]
        for start in results.starts}) for condition in results.plan["conditions"]}


def _best_of(results: Results, start: str, condition: str) -> dict[str, Any] | None:
    """What the best of 1, 2, … trials is expected to score; None without trials.

    Where trials are tuned it is the mean over the seeds that have all of them; else the seeds' runs are the trials.
    """
    plan = results.plan
    seeds = [[_dev_and_test(plan, record) for record in trials.values()]
             for trials in results.trials(start, condition)]
    if plan["tuned"]:
        pools = [[scores for scores in pool if scores] for pool in seeds if pool and all(pool)]
    else:
        pools = [[scores for pool in seeds for scores in pool if scores]]
    on_dev = all(dev is not None for pool in pools for dev, _ in pool)
    curves = [expected_best([goodness(plan, test) if dev is None or not on_dev else dev for dev, test in pool],
                            [test for _, test in pool]) for pool in pools]
    expected = [fmean(budget) for budget in zip(*curves, strict=True)]
    return {"start": start, "condition": condition, "chosen_on": "dev" if on_dev else "test", "expected": expected
            } if expected else None


def _dev_and_test(plan: Mapping[str, Any], record: Record | None) -> tuple[float | None, float] | None:
    """How good dev says that a run is, and its score."""
    test = number(record["test"], plan["measure"]) if is_done(record) else None
    return None if test is None or record is None else (dev_goodness(plan, record), test)


def _costs(records: Sequence[Record]) -> dict[str, Any]:
    """Of the runs of a start under a condition, all trials."""
    spent = [record["costs"] for record in records]
    stages = {stage: {"seconds": median(one[stage]["seconds"] for one in spent) if spent else None,
                      "peak_memory_mb": max((one[stage]["peak_memory_mb"] for one in spent), default=None)}
              for stage in STAGES}
    speeds = [one["training"]["tokens_per_second"] for one in spent]
    return {**stages, "tokens_per_second": median(speeds) if speeds else None}
