"""Model selection: the finished runs of a plan, and the run of each seed whose test score is reported."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any, TypeGuard

from pipeline.benchmark.store import DONE

Record = Mapping[str, Any]


class Results:
    """The runs of a plan with their records.

    Args:
        plan: :meth:`pipeline.benchmark.plan.Plan.to_dict`.
        records: the last record of each key, in any order; records of other plans are ignored.
    """

    def __init__(self, plan: Mapping[str, Any], records: Iterable[Record]) -> None:
        self.plan = plan
        found = {record["key"]: record for record in records}
        keys = dict.fromkeys(run["key"] for run in plan["runs"])
        self.n_planned = len(keys)
        self.ended: list[Record] = [found[key] for key in keys if key in found]
        self._trials: dict[tuple[str, str, int], dict[str, Record | None]] = defaultdict(dict)
        epochs = {one["name"]: one.get("after_epochs") for one in plan["conditions"]}
        for run in plan["runs"]:
            cell = run["start"], run["condition"], run["seed"]
            self._trials[cell][trial_name(run["trial"])] = as_after(found.get(run["key"]), epochs[run["condition"]])

    @property
    def done(self) -> list[Record]:
        """Records of the successful runs."""
        return [record for record in self.ended if is_done(record)]

    @property
    def failed(self) -> list[Record]:
        """Records of the failed runs."""
        return [record for record in self.ended if not is_done(record)]

    @property
    def initialisations(self) -> list[str]:
        """Distinct names; a control may also be listed as a source."""
        return list(dict.fromkeys(one["name"] for one in self.plan["starts"]))

    @property
    def rivals(self) -> list[str]:
        """Names of the rows of rivals."""
        return [one["name"] for one in self.plan.get("rivals", ())]

    def cells(self) -> Iterator[tuple[str, str]]:
        """Iterate over the pairs of initialisation or rival, and condition."""
        for condition in self.plan["conditions"]:
            for name in (*self.initialisations, *self.rivals):
                yield name, condition["name"]

    def trials(self, initialisation: str, condition: str) -> Iterator[dict[str, Record | None]]:
        """For each seed, iterate over the trials by name, with None for a run without a record."""
        for seed in self.plan["seeds"]:
            yield self._trials.get((initialisation, condition, seed), {})

    def successful(self, initialisation: str, condition: str) -> list[Record]:
        """Records of all successful runs of a cell, selected or not."""
        return [record for trials in self.trials(initialisation, condition) for record in trials.values()
                if is_done(record)]

    def selected(self, initialisation: str, condition: str) -> list[tuple[str, Record] | None]:
        """Select one trial for each seed; None where there is none.

        The trial with the best dev score is selected (the first of equal ones), once all trials of the seed have ended.
        A failed trial counts towards the budget, which is the same for every initialisation.
        """
        return [self._best(trials) for trials in self.trials(initialisation, condition)]

    def _best(self, trials: Mapping[str, Record | None]) -> tuple[str, Record] | None:
        if None in trials.values():
            return None
        done = [(name, record) for name, record in trials.items() if is_done(record)]
        if len(trials) == 1:
            return done[0] if done else None
        scored = [(score, -index) for index, (_, record) in enumerate(done)
                  if (score := dev_score(self.plan, record)) is not None]
        return done[-max(scored)[1]] if scored else None


def as_after(record: Record | None, epochs: int | None) -> Record | None:
    """Return the record of a run as if it had ended earlier, without its learning curve.

    Those of rivals and of failed runs are returned unchanged.

    Args:
        record: the record.
        epochs: number of epochs of the training; None for all.
    """
    if record is None or epochs is None or "rival" in record or not is_done(record):
        return record
    then, costs = record["after_epochs"][str(epochs)], record["costs"]
    return {**record, "test": then["test"], "sampling_error": then["sampling_error"], "dev": {},
            "training": {**record["training"], "steps": then["steps"], "epochs": epochs, "best_epoch": epochs},
            "curve": {**record["curve"], "points": []},
            "costs": {**costs, "training": {**costs["training"], "seconds": then["seconds"]}, "curve_seconds": []}}


def selected_keys(plan: Mapping[str, Any], records: Iterable[Record]) -> dict[tuple[str, str, int], str]:
    """Return the key of the selected run by initialisation, condition and seed.

    Comparisons before the end of the runs are left out: the stored predictions are those at the end.
    """
    results = Results(plan, records)
    earlier = {one["name"] for one in plan["conditions"] if one.get("after_epochs")}
    return {(initialisation, condition, seed): selected[1]["key"] for initialisation, condition in results.cells()
            for seed, selected in zip(plan["seeds"], results.selected(initialisation, condition), strict=True)
            if selected and condition not in earlier}


def dev_score(plan: Mapping[str, Any], record: Record) -> float | None:
    """Return the dev score, larger being better: the plan's measure, or the negative loss if dev lacks it."""
    measured = finite_measure(record["dev"], plan["measure"])
    if measured is not None:
        return larger_is_better(plan, measured)
    loss = finite_measure(record["dev"], "loss")
    return None if loss is None else -loss


def larger_is_better(plan: Mapping[str, Any], value: float) -> float:
    """Return a value of the plan's measure, negated if smaller values are better."""
    return -value if plan["smaller_is_better"] else value


def trial_name(trial: Mapping[str, Any]) -> str:
    """Return a name such as ``training.lr=0.001``; "" if nothing is tuned."""
    return ", ".join(f"{key}={value}" for key, value in trial.items())


def is_done(record: Record | None) -> TypeGuard[Record]:
    """Return whether a run has ended successfully."""
    return record is not None and record["status"] == DONE


def finite_measure(measures: Mapping[str, Any], name: str) -> float | None:
    """Return a measure, or None if it is missing or not finite (for example because training diverged)."""
    value = measures.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None if there are none."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
