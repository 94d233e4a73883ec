"""Of the trials that a start was given for a seed, the one that counts: that with the best dev score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.benchmark.store import DONE


def chosen_runs(plan: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str, int], str]:
    """The key of the run that counts, by start, condition and seed; a single trial needs no dev score.

    Args:
        plan: as :meth:`~pipeline.benchmark.plan.Plan.described` gives it.
        records: by key.
    """
    best: dict[tuple[str, str, int], tuple[float, str]] = {}
    for run in plan["runs"]:
        record = records.get(run["key"], {})
        if record.get("status") != DONE:
            continue
        place = (run["start"], run["condition"], run["seed"])
        score = dev_score(plan, record)
        if place not in best or score > best[place][0]:
            best[place] = score, run["key"]
    return {place: key for place, (_, key) in best.items()}


def dev_score(plan: Mapping[str, Any], record: Mapping[str, Any]) -> float:
    """What dev says of a run, larger being better: the plan's measure, or the loss where dev was not given that."""
    dev = record["dev"]
    if plan["measure"] in dev:
        return float(dev[plan["measure"]]) * (-1 if plan["smaller_is_better"] else 1)
    return -float(dev["loss"]) if "loss" in dev else 0.0
