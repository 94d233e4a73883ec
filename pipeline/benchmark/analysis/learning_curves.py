"""Learning curves of a benchmark's starts: over steps of training and over numbers of training examples."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from pipeline.benchmark.analysis.curves import area, band, first_reached, median_time
from pipeline.benchmark.analysis.selection import Record
from pipeline.benchmark.plan import SMALLER_IS_BETTER

OF_THE_BEST = 0.95  # the share of the best mean on a condition's curves that is the target by default

Curve = Mapping[str, Any]


class StepCurves:
    """The curves over steps under one condition, and the target that all of them are to reach.

    Where runs were measured in different ways, those like the first count.

    Args:
        plan: with ``target``, ``measure`` and ``smaller_is_better``.
        records: of the runs that count, by start.
    """

    def __init__(self, plan: Mapping[str, Any], records: Mapping[str, Sequence[Record]]) -> None:
        found = {start: [record for record in these if record["curve"]["points"]] for start, these in records.items()}
        first = next((record["curve"] for these in found.values() for record in these), {"measure": "", "on": ""})
        self.measure, self.on = first["measure"], first["on"]
        self._records = {start: [record for record in these if self._is_like(record["curve"])]
                         for start, these in found.items()}
        self._smaller_is_better = self.measure in SMALLER_IS_BETTER or (
            self.measure == plan["measure"] and plan["smaller_is_better"])
        self._points = {start: _points([record["curve"] for record in these])
                        for start, these in self._records.items()}
        self.target: float | None = self._default_target() if plan["target"] is None else plan["target"]

    def described(self) -> Iterator[dict[str, Any]]:
        """For each start that has one, its curve, the area under it, and when the target is reached."""
        for start, points in self._points.items():
            if points:
                areas = [area([point["step"] for point in finite], [point["value"] for point in finite])
                         for record in self._records[start] if (finite := _finite(record["curve"]))]
                yield {"start": start, "measure": self.measure, "on": self.on, "points": points,
                       "area": _mean_of_known(areas), "target": self._reaching(start)}

    def seconds_to_target(self, start: str) -> float | None:
        """Median over runs of the seconds of training until the target was reached."""
        return median_time([None if place is None else record["costs"]["curve_seconds"][place]
                            for record, place in self._reached(start)])

    def _is_like(self, curve: Curve) -> bool:
        return bool((curve["measure"], curve["on"]) == (self.measure, self.on))

    def _default_target(self) -> float | None:
        """From the best mean; points that only a few seeds trained on to are luck, not what a start reaches."""
        means: list[float] = [point["mean"] for start, points in self._points.items() for point in points
                              if 2 * point["n"] >= len(self._records[start])]
        if not means:
            return None
        return min(means) / OF_THE_BEST if self._smaller_is_better else max(means) * OF_THE_BEST

    def _reached(self, start: str) -> Iterator[tuple[Record, int | None]]:
        """Each run with the place on its curve where it reached the target."""
        for record in self._records.get(start, ()):
            values = [point["value"] for point in record["curve"]["points"]]
            yield record, None if self.target is None else first_reached(
                values, self.target, smaller_is_better=self._smaller_is_better)

    def _reaching(self, start: str) -> dict[str, Any]:
        points = [None if place is None else record["curve"]["points"][place]
                  for record, place in self._reached(start)]
        return {"value": self.target, "reached": sum(point is not None for point in points), "of": len(points),
                **{name: median_time([point and point[key] for point in points])
                   for name, key in (("steps", "step"), ("examples", "examples"))}}


def over_sizes(plan: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A curve over numbers of training examples for each start and choice of the varied keys.

    Args:
        plan: with ``conditions``.
        cells: of the summary.
    """
    conditions = {condition["name"]: condition for condition in plan["conditions"]}
    of_line = defaultdict(list)
    for cell in cells:
        vary = json.dumps(conditions[cell["condition"]]["vary"], sort_keys=True)
        of_line[cell["start"], vary].append(cell)
    return [_over_sizes(start, conditions[these[0]["condition"]]["vary"], these)
            for (start, _), these in of_line.items()]


def _over_sizes(start: str, vary: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    points = []
    for cell in sorted((cell for cell in cells if cell["n"]), key=lambda cell: int(cell["n_train"])):
        mean, low, high = band([score for score in cell["scores"] if score is not None])
        points.append({"n_train": cell["n_train"], "mean": mean, "low": low, "high": high})
    return {"start": start, "vary": dict(vary), "points": points,
            "area": area([math.log(point["n_train"]) for point in points], [point["mean"] for point in points])}


def _points(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """The mean curve; a run that stopped earlier leaves the later points to the others."""
    of_epoch = defaultdict(list)
    for curve in curves:
        for point in _finite(curve):
            of_epoch[point["epoch"]].append(point)
    made = []
    for _, points in sorted(of_epoch.items()):
        mean, low, high = band([point["value"] for point in points])
        made.append({"examples": round(fmean(point["examples"] for point in points)),
                     "step": round(fmean(point["step"] for point in points)),
                     "mean": mean, "low": low, "high": high, "n": len(points)})
    return made


def _finite(curve: Curve) -> list[Mapping[str, Any]]:
    """Its points without those of a run that diverged."""
    return [point for point in curve["points"] if math.isfinite(point["value"])]


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
