"""Comparison of finished runs, with the statistics of the benchmark."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from embeddings.specification.suggest import did_you_mean
from embeddings.table.paths import written
from pipeline.benchmark.analysis.comparisons import margin_of
from pipeline.benchmark.analysis.disagreements import (
    MAJORITY,
    ExampleResult,
    any_correct,
    count_categories,
    pair_results,
)
from pipeline.benchmark.analysis.statistics import as_family, seeds_needed
from pipeline.benchmark.grid import Initialisation
from pipeline.benchmark.other_predictions import OtherPredictions, read_predictions, require_labels
from pipeline.benchmark.plan import is_share, smaller_is_better
from pipeline.config import RunConfig, keys
from pipeline.errors import ConfigError, RunFolderError
from pipeline.runs import verification
from pipeline.runs.folder import RunFolder, read_json
from pipeline.runs.trained import load_setup
from pipeline.runs.verification import RESTORE
from pipeline.tasks import base
from pipeline.tasks.base import Task

INITIALISATION_KEYS = ("source", "transforms", "embedding.freeze")
IGNORED_KEYS = ("seed", "data.path", "data.labels", "data.languages", "data.no_answer_threshold", "model.token_types",
                "training.device", "training.checkpoint_seconds")
"""Keys that may differ within a group: the seed, the locations of data and work, and values derived from the data."""


@dataclass(frozen=True)
class FinishedRun:
    """A finished run.

    Attributes:
        folder: its files.
        config: resolved configuration.
        test: measures on the test set.
        sampling_error: standard error of each measure due to sampling the test set; empty if the run has none.
        data: name of the data set.
        data_hash: hash of the examples and of their splits.
    """

    folder: RunFolder
    config: RunConfig
    test: Mapping[str, Any]
    sampling_error: Mapping[str, float]
    data: str
    data_hash: str

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @classmethod
    def open(cls, path: Path, *, verify: bool = True) -> FinishedRun:
        """Read the folder of a run.

        Args:
            path: the folder.
            verify: check that the files have the SHA-256 that ``manifest.json`` lists.

        Raises:
            RunFolderError: if the run is not finished or its files are damaged.
            ConfigError: if its configuration is invalid.
        """
        folder = RunFolder.open(path)
        if verify:
            verification.verify(folder, verification.result_files(folder))
        config = load_setup(folder).config
        test = _object(folder.metrics, "test")
        errors = _object(folder.sampling_error) if folder.sampling_error.exists() else {}
        data = _object(folder.manifest, "data")
        if not isinstance(data.get("name"), str) or not isinstance(data.get("sha256"), str):
            raise RunFolderError(f"{folder.manifest}: damaged (no name or hash of the data); {RESTORE}")
        if not all(isinstance(value, float) or value == 0 for value in errors.values()):
            raise RunFolderError(f"{folder.sampling_error}: damaged (not a number for each measure); {RESTORE}")
        return cls(folder, config, test, errors, data["name"], data["sha256"])

    def example_results(self, task: Task[Any]) -> dict[str, ExampleResult]:
        """Return the result on each test example by its location.

        Raises:
            RunFolderError: if the predictions are damaged.
        """
        results: dict[str, ExampleResult] = {}
        try:
            with self.folder.predictions.open(encoding="utf-8") as file:
                for line in map(json.loads, file):
                    results[line["where"]] = ExampleResult(task.outcome(line["gold"], line) > MAJORITY)
        except Exception as error:  # other content causes exceptions of many classes, also in the task
            raise RunFolderError(f"{self.folder.predictions}: damaged ({error!r}); {RESTORE}") from error
        return results


def _object(path: Path, key: str = "") -> dict[str, Any]:
    """Return the JSON object in a file, or that under a key of it.

    Raises:
        RunFolderError: if there is none.
    """
    values = read_json(path)
    found = values.get(key) if key and isinstance(values, dict) else values
    if not isinstance(found, dict):
        raise RunFolderError(f"{path}: damaged ({key or 'it'} is not a JSON object); {RESTORE}")
    return found


Group = Mapping[int, FinishedRun | OtherPredictions]
"""Runs that differ in their seed only, or predictions of another tool, by seed."""


def compare(
    paths: Sequence[str | Path], measure: str = "", *, margin: float | None = None,
    predictions: Mapping[str, str | Path] | None = None, verify: bool = True,
) -> dict[str, Any]:
    """Compare finished runs.

    Runs that differ in their seed only form a group. Each group is compared with the group of the first run, paired by
    seed.

    Args:
        paths: run folders.
        measure: measure to compare; "" for the task's main measure.
        margin: largest difference that counts as practically equal, in percentage points for shares, otherwise in units
            of the measure; None for no such verdict.
        predictions: tables with labels that other tools predicted for the test examples of the runs, by name
            (:mod:`pipeline.benchmark.other_predictions`); each is compared as a further group.
        verify: check that the files have the SHA-256 that ``manifest.json`` lists.

    Returns:
        JSON-serialisable: ``task``, ``data``, ``measure``, ``is_share``, ``smaller_is_better``, ``margin``,
        ``reference`` (name of a group), ``n_comparisons`` and ``seeds_needed`` (the smallest number of seeds with
        which one of them can be significant); ``groups``, each with ``name``, ``runs``, ``seeds``, ``scores`` (one per
        seed), their ``mean`` and ``spread`` (standard deviation), and the mean ``sampling_error`` of the test set; and
        ``comparisons``, each with ``group``, ``reference``, ``n``, ``difference`` (positive for an improvement),
        ``interval``, ``p``, ``p_holm``, ``effect_size``, ``verdict``, and ``flips``: the number of test examples that
        ``only_start`` (the group), ``only_reference``, ``both`` and ``neither`` predict correctly in most seeds, or
        None if there is no correct prediction.

    Raises:
        RunFolderError: if a run is not finished, or the runs differ in their task or data.
        ConfigError: if the runs do not have the measure.
    """
    runs = [FinishedRun.open(Path(path), verify=verify) for path in paths]
    _require_same_data(runs)
    task = base.find(runs[0].config.task)
    measure = measure or task.measure_name
    _require_measure(runs, measure)
    smaller = smaller_is_better(task, measure)
    groups = group_by_configuration(runs)
    groups |= _other_groups(predictions or {}, runs, measure, taken=groups)
    (reference, theirs), *others = groups.items()
    comparisons = as_family([[(-1 if smaller else 1) * (one.test[measure] - other.test[measure])
                           for one, other in _pairs(group, theirs)] for _, group in others],
                            margin=margin_of({"margin": margin, "is_share": is_share(task, measure)}))
    return {
        "task": runs[0].config.task,
        "data": runs[0].data,
        "measure": measure,
        "is_share": is_share(task, measure),
        "smaller_is_better": smaller,
        "margin": margin,
        "reference": reference,
        "n_comparisons": len(others),
        "seeds_needed": seeds_needed(max(1, len(others))),
        "groups": [{"name": name, **_statistics(group, measure)} for name, group in groups.items()],
        "comparisons": [
            {"group": name, "reference": reference, "n": one.difference.n, "difference": one.difference.mean,
             "interval": one.difference.interval, "p": one.difference.p, "p_holm": one.p_holm,
             "effect_size": one.difference.effect_size, "verdict": one.verdict,
             "flips": _disagreements(group, theirs, task)}
            for (name, group), one in zip(others, comparisons, strict=True)
        ],
    }


def _other_groups(
    predictions: Mapping[str, str | Path], runs: Sequence[FinishedRun], measure: str, taken: Collection[str]
) -> dict[str, Group]:
    """Read the predictions of other tools, aligned with the runs.

    Raises:
        ConfigError: if the task is not classification, labels alone do not determine the measure, or a name is taken.
    """
    if not predictions:
        return {}
    require_labels(runs[0].config.task)
    for name in predictions:
        if name in taken:
            raise ConfigError(f"{name!r} is the name of a group of runs; choose another name for the predictions")
    groups: dict[str, Group] = {name: read_predictions(Path(path), {run.config.seed: run.folder for run in runs})
                                for name, path in predictions.items()}
    for group in groups.values():
        known = next(iter(group.values())).test
        if measure not in known:
            raise ConfigError(f"{measure} cannot be computed from labels; choose one of {', '.join(known)}")
    return groups


def group_by_configuration(runs: Sequence[FinishedRun]) -> dict[str, Group]:
    """Group runs by configuration, in order; a group's name lists the keys in which groups differ.

    Raises:
        RunFolderError: if two runs have the same configuration and seed.
    """
    groups: dict[str, dict[int, FinishedRun]] = {}
    for run in runs:
        group = groups.setdefault(str(_settings(run.config)), {})
        if run.config.seed in group:
            raise RunFolderError(f"{group[run.config.seed].folder.path} and {run.folder.path} have the same "
                                 f"configuration and the same seed, {run.config.seed}; leave one of them out")
        group[run.config.seed] = run
    settings = [_settings(next(iter(group.values())).config) for group in groups.values()]
    differing = [key for key in settings[0] if any(one[key] != settings[0][key] for one in settings)]
    return dict(zip((_name(one, differing) for one in settings), groups.values(), strict=True))


def _settings(config: RunConfig) -> dict[str, Any]:
    """Return the values of all keys that distinguish groups."""
    return {key: reduce(getattr, key.split("."), config) for key, _ in keys() if key not in IGNORED_KEYS}


def _name(settings: Mapping[str, Any], differing: Sequence[str]) -> str:
    """Return a name such as ``glove | standardize | frozen, lr=0.001``; common initialisations are left out."""
    short = {key: key.rpartition(".")[2] for key in differing if key not in INITIALISATION_KEYS}
    n_uses = Counter(short.values())
    assignments = [f"{name if n_uses[name] == 1 else key}={_value(settings[key])}" for key, name in short.items()]
    if short and len(short) == len(differing):
        return ", ".join(assignments)
    return ", ".join([Initialisation(*(settings[key] for key in INITIALISATION_KEYS)).name, *assignments])


def _value(value: Any) -> str:
    return "+".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _statistics(group: Group, measure: str) -> dict[str, Any]:
    scores = [run.test[measure] for run in group.values()]
    errors = [run.sampling_error[measure] for run in group.values() if measure in run.sampling_error]
    return {
        "runs": [written(run.path) for run in group.values()],
        "seeds": list(group),
        "scores": scores,
        "mean": fmean(scores),
        "spread": stdev(scores) if len(scores) > 1 else None,
        "sampling_error": fmean(errors) if errors else None,
    }


def _disagreements(group: Group, reference: Group, task: Task[Any]) -> dict[str, int] | None:
    sides = ((ours.example_results(task), theirs.example_results(task)) for ours, theirs in _pairs(group, reference))
    # Runs may have read the same data from different paths; the order of the examples is the same.
    paired = pair_results((dict(zip(theirs, ours.values(), strict=False)), theirs) for ours, theirs in sides)
    return count_categories(paired) if any_correct(paired) else None


def _pairs(
    group: Group, reference: Group
) -> Iterator[tuple[FinishedRun | OtherPredictions, FinishedRun | OtherPredictions]]:
    """Iterate over the pairs of runs with equal seed."""
    return ((run, reference[seed]) for seed, run in group.items() if seed in reference)


def _require_same_data(runs: Sequence[FinishedRun]) -> None:
    of_seed: dict[int, FinishedRun] = {}
    first = runs[0]
    for run in runs:
        if run.config.task != first.config.task:
            raise RunFolderError(f"{first.folder.path} has task {first.config.task}, {run.folder.path} has task "
                                 f"{run.config.task}; only runs of the same task can be compared")
        twin = of_seed.setdefault(run.config.seed, run)
        if run.data_hash != twin.data_hash:
            raise RunFolderError(f"{twin.folder.path} and {run.folder.path} have the same seed, {run.config.seed}, but "
                                 "different training or test examples, which could explain a difference; compare runs "
                                 "with the same data and the same number of training examples")
        if run.data_hash != first.data_hash and run.data != first.data:
            raise RunFolderError(f"{first.folder.path} has data {first.data}, {run.folder.path} has data {run.data}; "
                                 "only runs on the same data can be compared")


def _require_measure(runs: Sequence[FinishedRun], measure: str) -> None:
    for run in runs:
        if not run.test:
            raise RunFolderError(f"{run.folder.path}: the run has no test set, so it cannot be compared; leave it out")
        numbers = [name for name, value in run.test.items() if isinstance(value, int | float) and name != "n"
                   and not isinstance(value, bool)]
        if measure not in numbers:
            raise ConfigError(f"{run.folder.path}: no measure {measure!r}.{did_you_mean(measure, numbers)} "
                              f"Measures: {', '.join(numbers)}")
        if not abs(run.test[measure]) < sys.float_info.max:
            raise RunFolderError(f"{run.folder.path}: {measure} is {run.test[measure]} and cannot be compared; "
                                 "leave the run out")
