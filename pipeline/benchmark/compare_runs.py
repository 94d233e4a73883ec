"""Finished runs side by side, by the same statistics as a benchmark's."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from embeddings.specification.suggest import did_you_mean
from pipeline.benchmark.analysis.disagreements import RIGHT, Seen, counts, ever_right, meet
from pipeline.benchmark.analysis.statistics import holm, paired, seeds_needed, verdict
from pipeline.benchmark.grid import Start
from pipeline.benchmark.plan import is_share, smaller_is_better
from pipeline.config import RunConfig, keys
from pipeline.errors import ConfigError, RunFolderError
from pipeline.runs.folder import RunFolder, read_json
from pipeline.tasks import base
from pipeline.tasks.base import Task

OF_THE_START = ("source", "transforms", "embedding.freeze")
BY_THE_WAY = ("seed", "data.path", "data.labels", "data.languages", "data.no_answer_threshold", "model.token_types",
              "training.device", "training.checkpoint_seconds")
"""Keys that tell no groups apart: the seed, where data and work are, and what the task finds out from the data."""


@dataclass(frozen=True)
class FinishedRun:
    """What a comparison needs of a run.

    Attributes:
        folder: its files.
        config: resolved.
        test: its measures of the test set.
        sampling_error: the standard error of each of them due to the test set's being a sample, if the run tells.
        data: the name of the data set.
        data_hash: of what was read, and how it was cut.
    """

    folder: RunFolder
    config: RunConfig
    test: Mapping[str, Any]
    sampling_error: Mapping[str, float]
    data: str
    data_hash: str

    @classmethod
    def open(cls, path: Path) -> FinishedRun:
        """Read a run's folder.

        Raises:
            RunFolderError: if there is no finished run, or its files are broken.
            ConfigError: if its configuration is.
        """
        folder = RunFolder.open(path)
        config = RunConfig.load(folder.config)
        try:
            metrics, data = read_json(folder.metrics), read_json(folder.manifest)["data"]
            errors = read_json(folder.sampling_error) if folder.sampling_error.exists() else {}
            return cls(folder, config, dict(metrics["test"]), dict(errors), data["name"], data["sha256"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunFolderError(f"{path}: metrics.json or manifest.json is not as it was written ({error}); make the "
                                 "run again") from error

    def seen(self, task: Task[Any]) -> dict[str, Seen]:
        """Whether each test example was right, by its place.

        Raises:
            RunFolderError: if the predictions are broken.
        """
        seen: dict[str, Seen] = {}
        try:
            with self.folder.predictions.open(encoding="utf-8") as file:
                for line in map(json.loads, file):
                    seen[line["where"]] = Seen(task.outcome(line["gold"], line) > RIGHT)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{self.folder.predictions}: not as it was written ({error}); make the run again"
                                 ) from error
        return seen


Group = Mapping[int, FinishedRun]
"""Runs that differ in nothing but their seed, by it."""


def compare(paths: Sequence[Path], measure: str = "") -> dict[str, Any]:
    """Put finished runs side by side.

    Runs that differ only in their seed are a group. Each group is compared with that of the first run, paired by seed.

    Args:
        paths: the runs' folders.
        measure: what is compared; "" takes what the task is judged by.

    Returns:
        As JSON has it: ``task``, ``data``, ``measure``, ``is_share``, ``smaller_is_better``, ``reference`` (a group's
        name), ``n_comparisons`` and ``seeds_needed`` (the fewest seeds with which so many could show anything);
        ``groups``, each with ``name``, ``runs``, ``seeds``, ``scores`` (one a seed), their ``mean`` and ``spread``
        (standard deviation), and the mean ``sampling_error`` of the test set; and ``comparisons``, each with ``group``,
        ``reference``, ``n``, ``difference`` (positive if the group is better), ``interval``, ``p``, ``p_holm``,
        ``effect_size``, ``verdict``, and as ``flips`` how many test examples ``only_start`` (the group),
        ``only_reference``, ``both`` and ``neither`` got right in most seeds (None where neither ever was).

    Raises:
        RunFolderError: if one of them is no finished run, or they are not of one task and the same data.
        ConfigError: if they have no such measure.
    """
    runs = [FinishedRun.open(path) for path in paths]
    _require_same_data(runs)
    task = base.find(runs[0].config.task)
    measure = measure or task.measure_name
    _require_measure(runs, measure)
    smaller = smaller_is_better(task, measure)
    groups = grouped(runs)
    (reference, theirs), *others = groups.items()
    differences = [paired([(-1 if smaller else 1) * (one.test[measure] - other.test[measure])
                           for one, other in _pairs(group, theirs)]) for _, group in others]
    corrected = holm([difference.p for difference in differences])
    return {
        "task": runs[0].config.task,
        "data": runs[0].data,
        "measure": measure,
        "is_share": is_share(task, measure),
        "smaller_is_better": smaller,
        "reference": reference,
        "n_comparisons": len(others),
        "seeds_needed": seeds_needed(max(1, len(others))),
        "groups": [{"name": name, **_described(group, measure)} for name, group in groups.items()],
        "comparisons": [
            {"group": name, "reference": reference, "n": found.n, "difference": found.mean, "interval": found.interval,
             "p": found.p, "p_holm": p_holm, "effect_size": found.effect_size,
             "verdict": verdict(found, p_holm, len(others)), "flips": _flips(group, theirs, task)}
            for (name, group), found, p_holm in zip(others, differences, corrected, strict=True)
        ],
    }


def grouped(runs: Sequence[FinishedRun]) -> dict[str, Group]:
    """The groups by their names, in the order of the runs; a name tells what sets its group apart.

    Raises:
        RunFolderError: if two runs differ in nothing, not even in their seed.
    """
    groups: dict[str, dict[int, FinishedRun]] = {}
    for run in runs:
        group = groups.setdefault(str(_settings(run.config)), {})
        if run.config.seed in group:
            raise RunFolderError(f"{group[run.config.seed].folder.path} and {run.folder.path}: the same configuration "
                                 f"and the same seed, {run.config.seed}; give one of them")
        group[run.config.seed] = run
    settings = [_settings(next(iter(group.values())).config) for group in groups.values()]
    differing = [key for key in settings[0] if any(one[key] != settings[0][key] for one in settings)]
    return dict(zip((_name(one, differing) for one in settings), groups.values(), strict=True))


def _settings(config: RunConfig) -> dict[str, Any]:
    """Every key that tells groups apart, and its value."""
    return {key: reduce(getattr, key.split("."), config) for key, _ in keys() if key not in BY_THE_WAY}


def _name(settings: Mapping[str, Any], differing: Sequence[str]) -> str:
    """Such as ``glove | standardize | frozen, lr=0.001``; without the start if all groups have the same."""
    last = {key: key.rpartition(".")[2] for key in differing if key not in OF_THE_START}
    alike = Counter(last.values())
    told = [f"{short if alike[short] == 1 else key}={_shown(settings[key])}" for key, short in last.items()]
    start = [Start(*(settings[key] for key in OF_THE_START)).name] if len(last) < len(differing) or not last else []
    return ", ".join([*start, *told])


def _shown(value: Any) -> str:
    return "+".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _described(group: Group, measure: str) -> dict[str, Any]:
    scores = [run.test[measure] for run in group.values()]
    errors = [run.sampling_error[measure] for run in group.values() if measure in run.sampling_error]
    return {
        "runs": [str(run.folder.path) for run in group.values()],
        "seeds": list(group),
        "scores": scores,
        "mean": fmean(scores),
        "spread": stdev(scores) if len(scores) > 1 else None,
        "sampling_error": fmean(errors) if errors else None,
    }


def _flips(group: Group, reference: Group, task: Task[Any]) -> dict[str, int] | None:
    sides = ((one.seen(task), other.seen(task)) for one, other in _pairs(group, reference))
    # The same data, wherever each run found them: the examples come in one order, and go by the reference's places.
    met = meet((dict(zip(theirs, ours.values(), strict=False)), theirs) for ours, theirs in sides)
    return counts(met) if ever_right(met) else None


def _pairs(group: Group, reference: Group) -> Iterator[tuple[FinishedRun, FinishedRun]]:
    """The runs of equal seed."""
    return ((run, reference[seed]) for seed, run in group.items() if seed in reference)


def _require_same_data(runs: Sequence[FinishedRun]) -> None:
    of_seed: dict[int, FinishedRun] = {}
    for run in runs:
        first = runs[0]
        if run.config.task != first.config.task:
            raise RunFolderError(f"{first.folder.path} is of the task {first.config.task} and {run.folder.path} of "
                                 f"{run.config.task}; only runs of one task can be compared")
        twin = of_seed.setdefault(run.config.seed, run)
        if run.data_hash != twin.data_hash:
            raise RunFolderError(f"{twin.folder.path} and {run.folder.path} have the seed {run.config.seed} both, but "
                                 "other examples to learn from or to be tested on, so that what differs may be due to "
                                 "these; compare runs of the same data and the same number of training examples")
        if run.data_hash != first.data_hash and run.data != first.data:
            raise RunFolderError(f"{first.folder.path} is of the data {first.data} and {run.folder.path} of {run.data};"
                                 " only runs on the same data can be compared")


def _require_measure(runs: Sequence[FinishedRun], measure: str) -> None:
    for run in runs:
        numbers = [name for name, value in run.test.items() if isinstance(value, int | float) and name != "n"]
        if measure not in numbers:
            raise ConfigError(f"{run.folder.path}: no measure {measure!r}.{did_you_mean(measure, numbers)} "
                              f"It has {', '.join(numbers)}")
        if not math.isfinite(run.test[measure]):
            raise RunFolderError(f"{run.folder.path}: its {measure} is {run.test[measure]}, which cannot be compared; "
                                 "leave the run out")
