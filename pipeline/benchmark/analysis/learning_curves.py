"""Learning curves over training steps and over numbers of training examples."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from pipeline.benchmark.analysis.curves import area, band, first_reached, median_time
from pipeline.benchmark.analysis.selection import Record, mean_of_known
from pipeline.benchmark.plan import smaller_is_better
from pipeline.tasks import base

TARGET_SHARE = 0.95  # default target: this share of the best mean among the curves of a condition

Curve = Mapping[str, Any]


class StepCurves:
    """Learning curves over training steps under one condition, with a common target.

    If runs were measured in different ways, only those measured like the first one are used.

    Args:
        plan: with ``task``, ``target``, ``measure`` and ``smaller_is_better``.
        records: the selected runs by initialisation.
    """

    def __init__(self, plan: Mapping[str, Any], records: Mapping[str, Sequence[Record]]) -> None:
        found = {name: [record for record in these if record["curve"]["points"]] for name, these in records.items()}
        first = next((record["curve"] for these in found.values() for record in these), {"measure": "", "on": ""})
        self.measure, self.on = first["measure"], first["on"]
        self._records = {name: [record for record in these if self._is_comparable(record["curve"])]
                         for name, these in found.items()}
        self._smaller_is_better = smaller_is_better(base.find(plan["task"]), self.measure) or (
            self.measure == plan["measure"] and plan["smaller_is_better"])
        self._points = {name: _mean_points([record["curve"] for record in these])
                        for name, these in self._records.items()}
        self.target: float | None = self._default_target() if plan["target"] is None else plan["target"]

    def to_dicts(self) -> Iterator[dict[str, Any]]:
        """For each initialisation with a curve, yield its points, its area and the time to the target."""
        for name, points in self._points.items():
            if points:
                areas = [area([point["step"] for point in finite], [point["value"] for point in finite])
                         for record in self._records[name] if (finite := _finite_points(record["curve"]))]
                yield {"start": name, "measure": self.measure, "on": self.on, "points": points,
                       "area": mean_of_known(areas), "target": self._time_to_target(name)}

    def seconds_to_target(self, name: str) -> float | None:
        """Return the median over runs of the training time to the target, in seconds."""
        return median_time([None if index is None else record["costs"]["curve_seconds"][index]
                            for record, index in self._reached(name)])

    def _is_comparable(self, curve: Curve) -> bool:
        return bool((curve["measure"], curve["on"]) == (self.measure, self.on))

    def _default_target(self) -> float | None:
        """Derive the target from the best mean, ignoring points reached by fewer than half of the seeds."""
        means: list[float] = [point["mean"] for name, points in self._points.items() for point in points
                              if 2 * point["n"] >= len(self._records[name])]
        if not means:
            return None
        return min(means) / TARGET_SHARE if self._smaller_is_better else max(means) * TARGET_SHARE

    def _reached(self, name: str) -> Iterator[tuple[Record, int | None]]:
        """Yield each run with the index of the first point that reaches the target."""
        for record in self._records.get(name, ()):
            values = [point["value"] for point in record["curve"]["points"]]
            yield record, None if self.target is None else first_reached(
                values, self.target, smaller_is_better=self._smaller_is_better)

    def _time_to_target(self, name: str) -> dict[str, Any]:
        points = [None if index is None else record["curve"]["points"][index]
                  for record, index in self._reached(name)]
        return {"value": self.target, "reached": sum(point is not None for point in points), "of": len(points),
                **{unit: median_time([point and point[key] for point in points])
                   for unit, key in (("steps", "step"), ("examples", "examples"))}}


def over_sizes(plan: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compute a curve over numbers of training examples for each initialisation and each choice of the varied keys.

    Args:
        plan: with ``conditions``.
        cells: of the summary.
    """
    conditions = {condition["name"]: condition for condition in plan["conditions"]}
    cells_of = defaultdict(list)
    for cell in cells:
        vary = json.dumps(conditions[cell["condition"]]["vary"], sort_keys=True)
        cells_of[cell["start"], vary].append(cell)
    return [_size_curve(name, conditions[these[0]["condition"]]["vary"], these)
            for (name, _), these in cells_of.items()]


def _size_curve(name: str, vary: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    points = []
    for cell in sorted((cell for cell in cells if cell["n"]), key=lambda cell: int(cell["n_train"])):
        mean, low, high = band([score for score in cell["scores"] if score is not None])
        points.append({"n_train": cell["n_train"], "mean": mean, "low": low, "high": high})
    return {"start": name, "vary": dict(vary), "points": points,
            "area": area([math.log(point["n_train"]) for point in points], [point["mean"] for point in points])}


def _mean_points(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Average curves epoch by epoch; later epochs average over the runs that reached them."""
    of_epoch = defaultdict(list)
    for curve in curves:
        for point in _finite_points(curve):
            of_epoch[point["epoch"]].append(point)
    means = []
    for _, points in sorted(of_epoch.items()):
        mean, low, high = band([point["value"] for point in points])
        means.append({"examples": round(fmean(point["examples"] for point in points)),
                      "step": round(fmean(point["step"] for point in points)),
                      "mean": mean, "low": low, "high": high, "n": len(points)})
    return means


def _finite_points(curve: Curve) -> list[Mapping[str, Any]]:
    return [point for point in curve["points"] if math.isfinite(point["value"])]
