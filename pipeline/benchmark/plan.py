"""From a grid to the runs it asks for, each with a key that no other configuration has."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from embeddings.progress import Progress, silent
from embeddings.specification.fingerprint import content_hashes
from embeddings.tokenization.corpus import CorpusFiles
from pipeline.benchmark.grid import Condition, Grid, Start
from pipeline.config import RunConfig, with_values
from pipeline.errors import ConfigError
from pipeline.runs.chain import data_hash
from pipeline.tasks import base
from pipeline.tasks.base import Task

log = logging.getLogger("vecformer")

SMALLER_IS_BETTER = ("loss", "perplexity", "masked_perplexity", "bits_per_word", "calibration_error")


def smaller_is_better(task: Task[Any], measure: str) -> bool:
    """Of two values of a measure."""
    return task.find_measure(measure).smaller_is_better


def is_share(task: Task[Any], measure: str) -> bool:
    """Whether a measure is from 0 to 1 and shown as a percentage."""
    return task.find_measure(measure).is_share


@dataclass(frozen=True)
class PlannedRun:
    """One run of a benchmark.

    Attributes:
        key: a hash of its resolved configuration and of the contents of its data and vector files.
        start: what it starts from.
        condition: under what.
        trial: the values of the tuned keys.
        seed: decides everything random.
        config: not resolved.
    """

    key: str
    start: Start
    condition: Condition
    trial: Mapping[str, Any]
    seed: int
    config: RunConfig

    @property
    def name(self) -> str:
        """Such as ``glove, 50 training examples, seed 3``."""
        tried = [f"{key.rpartition('.')[2]}={value}" for key, value in self.trial.items()]
        return ", ".join((self.start.name, self.condition.name, *tried, f"seed {self.seed}"))


@dataclass(frozen=True)
class Plan:
    """What a grid comes to on its data.

    Attributes:
        grid: what was asked for.
        task: what is learned.
        data: the data set's name.
        measure: what is compared.
        runs: seed by seed, so that what is done first can be compared first.
        command: that repeats it.
    """

    grid: Grid
    task: Task[Any]
    data: str
    measure: str
    runs: tuple[PlannedRun, ...]
    command: str

    def described(self) -> dict[str, Any]:
        """The plan as plain values that JSON holds: what a summary is made of, beside the runs' records."""
        return {
            "task": self.runs[0].config.task,
            "data": self.data,
            "counted": self.task.unit,
            "measure": self.measure,
            "is_share": is_share(self.task, self.measure),
            "smaller_is_better": smaller_is_better(self.task, self.measure),
            "baseline": self.grid.starts[0].name,
            "seeds": sorted({run.seed for run in self.runs}),
            "starts": [{"name": start.name, **asdict(start)} for start in self.grid.starts],
            "conditions": [{"name": condition.name, "limit_train": condition.limit_train,
                            "vary": dict(condition.vary)} for condition in self.grid.conditions],
            "tuned": {key: list(values) for key, values in self.grid.tune.items()},
            "target": self.grid.target,
            "runs": [{"key": run.key, "start": run.start.name, "condition": run.condition.name,
                      "trial": dict(run.trial), "seed": run.seed} for run in self.runs],
            "command": self.command,
        }


def make_plan(grid: Grid, *, command: str, progress: Progress = silent) -> Plan:
    """Read the data as each run will, and list the runs.

    Args:
        grid: what is to be compared.
        command: that repeats it.
        progress: told the share of the runs that are planned.

    Raises:
        ConfigError: if something is to be tuned and there is no dev set, or the task has no such measure.
        PipelineError, EmbeddingError: if the data or a source's files are not in order.
    """
    shared = RunConfig.from_mapping(grid.run, where="the grid's [run]")
    task = base.find(shared.task)
    read = _Reader(task)
    runs, warned = [], set[str]()
    combinations = list(product(range(1, grid.seeds + 1), grid.conditions, grid.starts, grid.trials))
    for number, (seed, condition, start, trial) in enumerate(combinations):
        progress("planning", number / len(combinations))
        config = _configured(grid, seed, condition, start, trial)
        with _warned_once(warned):
            resolved, data, has_dev = read(config)
        if grid.tune and not has_dev:
            raise ConfigError(f"{config.data.path}: no dev set to choose {', '.join(grid.tune)} by, with "
                              f"{condition.name}; give a dev file or more training examples, or leave out --tune")
        runs.append(PlannedRun(_key(resolved, data), start, condition, trial, seed, config))
    progress("planning", 1.0)
    return Plan(grid, task, read.name, grid.measure or task.measure_name, tuple(runs), command)


def _configured(
    grid: Grid, seed: int, condition: Condition, start: Start, trial: Mapping[str, Any]
) -> RunConfig:
    """A run's configuration. Of words outside the text it keeps those of the test only, which is all that it needs."""
    chosen = {
        "data.unseen_words": 0, "source": start.source, "transforms": list(start.transforms),
        "embedding.freeze": start.frozen, "data.limit_train": condition.limit_train, "seed": seed,
        **start.assignments, **dict(condition.vary), **trial,
    }
    return RunConfig.from_mapping(with_values(grid.run, chosen.items()), where="the grid")


@contextmanager
def _warned_once(warned: set[str]) -> Iterator[None]:
    """Let each kind of warning through once: what is said of one cut of the data holds for the others about."""
    def is_new(record: logging.LogRecord) -> bool:
        known = record.msg in warned
        warned.add(record.msg)
        return not known

    log.addFilter(is_new)
    try:
        yield
    finally:
        log.removeFilter(is_new)


class _Reader:
    """Reads each cut of the data once."""

    def __init__(self, task: Task[Any]) -> None:
        self.task, self.name = task, ""
        self._read: dict[str, tuple[Any, str]] = {}

    def __call__(self, config: RunConfig) -> tuple[RunConfig, str, bool]:
        """The configuration, a hash of the data, and whether there is a dev set; checks the data."""
        place = json.dumps([config.seed, asdict(config.data)], sort_keys=True)
        if place not in self._read:
            self._read.clear()  # runs come seed by seed, and one cut at a time is enough to hold
            splits = self.task.reader.read(config.data, seed=config.seed)
            self._read[place] = splits, data_hash(splits)
        splits, hashed = self._read[place]
        self.name = splits.name
        self.task.resolve(config, splits)
        return config, hashed, bool(splits.dev)


def _key(resolved: RunConfig, data: str) -> str:
    corpus = CorpusFiles(tuple(map(Path, resolved.corpus))).files() if resolved.corpus else []
    sources = [resolved.source, *([resolved.target_source] if resolved.target_source else [])]
    contents = [content_hashes(source, resolved.transforms, corpus) for source in sources]
    told = {"config": asdict(resolved), "data": data, "contents": contents, "version": version("vecformer")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:20]
