"""Which of a plan's runs have ended, and which of them give a start's score for a seed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from pipeline.benchmark.store import DONE

Record = Mapping[str, Any]


class Results:
    """A plan's runs and what has become of them.

    Args:
        plan: what :meth:`pipeline.benchmark.plan.Plan.described` gives.
        records: the last of each key, in any order; those of other plans are passed over.
    """

    def __init__(self, plan: Mapping[str, Any], records: Iterable[Record]) -> None:
        self.plan = plan
        found = {record["key"]: record for record in records}
        keys = dict.fromkeys(run["key"] for run in plan["runs"])
        self.n_planned = len(keys)
        self.ended: list[Record] = [found[key] for key in keys if key in found]
        self._trials: dict[tuple[str, str, int], dict[str, Record | None]] = defaultdict(dict)
        for run in plan["runs"]:
            place = run["start"], run["condition"], run["seed"]
            self._trials[place][trial_name(run["trial"])] = found.get(run["key"])

    @property
    def done(self) -> list[Record]:
        """Of the runs that have ended those that did not fail."""
        return [record for record in self.ended if is_done(record)]

    @property
    def failed(self) -> list[Record]:
        """The others."""
        return [record for record in self.ended if not is_done(record)]

    @property
    def starts(self) -> list[str]:
        """Their names, each once: a control may also have been asked for by name."""
        return list(dict.fromkeys(start["name"] for start in self.plan["starts"]))

    def cells(self) -> Iterator[tuple[str, str]]:
        """Every start under every condition: their names."""
        for condition in self.plan["conditions"]:
            for start in self.starts:
                yield start, condition["name"]

    def trials(self, start: str, condition: str) -> Iterator[dict[str, Record | None]]:
        """Seed by seed the trials by name, each with its record if it has ended."""
        for seed in self.plan["seeds"]:
            yield self._trials.get((start, condition, seed), {})

    def made(self, start: str, condition: str) -> list[Record]:
        """Every run of a start under a condition that did not fail, whether it counts or not."""
        return [record for trials in self.trials(start, condition) for record in trials.values() if is_done(record)]

    def counting(self, start: str, condition: str) -> list[tuple[str, Record] | None]:
        """For each seed the trial that counts, with its record; None where there is none.

        Of several trials it is the one with the best score on dev, the first of equal ones, and only when all have
        ended: every start gets the same budget, of which a failed trial has used its part.
        """
        return [self._best(trials) for trials in self.trials(start, condition)]

    def _best(self, trials: Mapping[str, Record | None]) -> tuple[str, Record] | None:
        if None in trials.values():
            return None
        done = [(name, record) for name, record in trials.items() if is_done(record)]
        if len(trials) == 1:
            return done[0] if done else None
        scored = [(good, -place) for place, (_, record) in enumerate(done)
                  if (good := dev_goodness(self.plan, record)) is not None]
        return done[-max(scored)[1]] if scored else None


def chosen_keys(plan: Mapping[str, Any], records: Iterable[Record]) -> dict[tuple[str, str, int], str]:
    """The key of the run that gives a start's score, by start, condition and seed; without those that have none."""
    results = Results(plan, records)
    return {(start, condition, seed): counted[1]["key"] for start, condition in results.cells()
            for seed, counted in zip(plan["seeds"], results.counting(start, condition), strict=True) if counted}


def dev_goodness(plan: Mapping[str, Any], record: Record) -> float | None:
    """What dev says of a run, larger being better: the plan's measure, or the loss where dev was not given that."""
    measured = number(record["dev"], plan["measure"])
    if measured is not None:
        return goodness(plan, measured)
    loss = number(record["dev"], "loss")
    return None if loss is None else -loss


def goodness(plan: Mapping[str, Any], value: float) -> float:
    """A value of the plan's measure with its sign turned, if need be, so that larger is better."""
    return -value if plan["smaller_is_better"] else value


def trial_name(trial: Mapping[str, Any]) -> str:
    """Such as ``training.lr=0.001``; "" where nothing is tuned."""
    return ", ".join(f"{key}={value}" for key, value in trial.items())


def is_done(record: Record | None) -> TypeGuard[Record]:
    """Whether a run has ended and did not fail."""
    return record is not None and record["status"] == DONE


def number(measures: Mapping[str, Any], name: str) -> float | None:
    """A measure; None if there is none or it is not finite, as of a run that diverged."""
    value = measures.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
