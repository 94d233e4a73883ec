"""The plan of a benchmark: the runs of a grid, each with a key that identifies its configuration and data."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from embeddings.progress import Progress, silent
from embeddings.specification.fingerprint import content_hashes
from embeddings.table.arguments import argument, either
from embeddings.table.listing import listed
from embeddings.table.paths import from_written
from embeddings.tokenization.corpus import CorpusFiles
from pipeline.baselines.selection import check_selection
from pipeline.benchmark.grid import Condition, Grid, Initialisation
from pipeline.benchmark.rivals.base import INSTALL, identity, missing_packages
from pipeline.benchmark.rivals.base import find as find_rival
from pipeline.config import RunConfig, in_earlier_names, with_values
from pipeline.errors import ConfigError
from pipeline.runs.chain import require_engine
from pipeline.runs.data_hash import data_hash
from pipeline.runs.recipe.choose import setup_for
from pipeline.runs.start.point import files_of_start
from pipeline.runs.tokenizer import subwords_file, tokenizer_location
from pipeline.tasks import base
from pipeline.tasks.base import Task, find_measure

log = logging.getLogger("vecformer")


def smaller_is_better(task: Task[Any], measure: str) -> bool:
    """Return whether a smaller value of the measure is better."""
    return find_measure(task, measure).smaller_is_better


def is_share(task: Task[Any], measure: str) -> bool:
    """Return whether a measure lies between 0 and 1 and is printed as a percentage."""
    return find_measure(task, measure).is_share


@dataclass(frozen=True)
class PlannedRun:
    """One run of a benchmark.

    Attributes:
        key: hash of the resolved configuration and of the contents of the data and vector files. Comparisons after
            different numbers of epochs share a run.
        initialisation: of the embedding layer; None for a rival.
        condition: under which it is compared.
        trial: values of the tuned keys.
        seed: of all random draws.
        config: the configuration before it is resolved on the data; of a rival, only the data, the task and the seed.
        rival: name of the rival that is trained instead of a Transformer; "" for none.
    """

    key: str
    initialisation: Initialisation | None
    condition: Condition
    trial: Mapping[str, Any]
    seed: int
    config: RunConfig
    rival: str = ""

    @property
    def start(self) -> str:
        """Name of the initialisation or of the rival in tables and comparisons."""
        return self.initialisation.name if self.initialisation else rival_row(self.rival)

    @property
    def name(self) -> str:
        """Name such as ``glove, 50 training examples, seed 3``."""
        tried = [f"{key.rpartition('.')[2]}={value}" for key, value in self.trial.items()]
        return ", ".join((self.start, self.condition.name, *tried, f"seed {self.seed}"))


@dataclass(frozen=True)
class Plan:
    """The runs of a grid on its data.

    Attributes:
        grid: the grid that was planned.
        task: the task of all runs.
        data: name of the data set.
        measure: the measure to compare.
        runs: ordered by seed, so that every combination has a first result early.
        command: command that repeats the benchmark.
        missing_rivals: packages that are not installed, by the rival that needs them.
    """

    grid: Grid
    task: Task[Any]
    data: str
    measure: str
    runs: tuple[PlannedRun, ...]
    command: str
    missing_rivals: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-serialisable values; with the records of the runs it determines the summary."""
        return {
            "task": self.runs[0].config.task,
            "data": self.data,
            "counted": self.task.unit,
            "measure": self.measure,
            "is_share": is_share(self.task, self.measure),
            "smaller_is_better": smaller_is_better(self.task, self.measure),
            "margin": self.grid.margin,
            "until_settled": self.grid.until_settled,
            "max_seeds": self.grid.max_seeds,
            "seeds": sorted({run.seed for run in self.runs}),
            **compared(self.grid, self.missing_rivals),
            "missing_rivals": [{"rival": name, "packages": list(packages), "command": INSTALL}
                               for name, packages in self.missing_rivals.items()],
            "tuned": {key: list(values) for key, values in self.grid.tune.items()},
            "target": self.grid.target,
            "runs": [{"key": run.key, "start": run.start, "condition": run.condition.name,
                      "trial": dict(run.trial), "seed": run.seed} for run in self.runs],
            "command": self.command,
        }


def compared(grid: Grid, missing: Collection[str] = ()) -> dict[str, Any]:
    """Return what a grid compares: ``baseline``, ``starts``, ``rivals`` and ``conditions`` of :meth:`Plan.to_dict`.

    Args:
        grid: the grid.
        missing: names of rivals that are not installed.
    """
    return {
        "baseline": grid.initialisations[0].name,
        "starts": [{"name": one.name, **asdict(one)} for one in grid.initialisations],
        "rivals": [{"name": rival_row(name), "rival": name, "description": find_rival(name).description}
                   for name in grid.rival_names if name not in missing],
        "conditions": [{"name": condition.name, "limit_train": condition.limit_train, "vary": dict(condition.differing),
                        **({} if condition.is_end else {"after_epochs": condition.epochs})}
                       for condition in grid.conditions],
    }


def make_plan(
    grid: Grid, *, command: str, progress: Progress = silent, n_seeds: int | None = None, earlier: Plan | None = None,
    cells: Collection[tuple[str, str]] | None = None,
) -> Plan:
    """Read the data of every run and list the runs.

    Args:
        grid: the combinations to run.
        command: command that repeats the benchmark.
        progress: progress callback, called with the fraction of runs planned.
        n_seeds: number of seeds, if not that of the grid.
        earlier: plan with fewer seeds, whose runs are kept.
        cells: names of the initialisations and conditions that need the additional seeds; by default all.

    Raises:
        ConfigError: if keys are tuned without a dev set.
        PipelineError, EmbeddingError: if the data or the files of a source cannot be read.
    """
    shared = RunConfig.from_mapping(grid.run, where="the grid's [run]")
    require_engine(shared)
    task = base.find(shared.task)
    check_selection(shared, task.baseline_names)
    read = _CachedReader(task, earlier.data if earlier else "")
    runs, logged = list(earlier.runs if earlier else ()), set[str]()
    missing = earlier.missing_rivals if earlier else missing_rivals(grid, task)
    rivals = [name for name in grid.rival_names if name not in missing]
    of_condition = [*((one.name, one, trial, "") for one in grid.initialisations for trial in grid.trials),
                    *((rival_row(name), None, {}, name) for name in rivals)]
    seeds = range(1 + max((run.seed for run in runs), default=0), 1 + (n_seeds or grid.seeds))
    combinations = [(seed, condition, *varied) for seed, condition, (row, *varied)
                    in product(seeds, grid.conditions, of_condition)
                    if cells is None or (row, condition.name) in cells]
    for number, (seed, condition, initialisation, trial, rival) in enumerate(combinations):
        progress("planning", number / len(combinations))
        config = _configuration(grid, seed, condition, initialisation or grid.initialisations[0], trial)
        with _warnings_once(logged):
            resolved, data, has_dev = read(config)
        if rival:
            runs.append(PlannedRun(_rival_key(rival, data, seed), None, condition, {}, seed, config, rival))
            continue
        if grid.tune and not has_dev:
            raise ConfigError(f"{config.data.path}: tuning {', '.join(grid.tune)} needs a dev set, and there is none "
                              f"with {condition.name}; add a dev file or more training examples, or leave out "
                              f"{argument('tune')}")
        key = _key(resolved, data, sorted(grid.after_epochs))
        runs.append(PlannedRun(key, initialisation, condition, trial, seed, config))
    progress("planning", 1.0)
    return Plan(grid, task, read.name, grid.measure or task.measure_name, tuple(runs), command, missing)


def rival_row(name: str) -> str:
    """Return the name of a rival in tables and comparisons, which differs from that of any source."""
    return f"rival {name}"


def missing_rivals(grid: Grid, task: Task[Any]) -> dict[str, list[str]]:
    """Return the packages that are not installed, by the rival that needs them, and log how to install them.

    Raises:
        ConfigError: if a rival cannot be trained for the task.
    """
    missing = {}
    for one in map(find_rival, grid.rival_names):
        if task.name not in one.tasks:
            raise ConfigError(f"the rival {one.name} is for {listed(one.tasks)} and not for {task.name}; leave out "
                              f"{either('--rival', 'rivals')}")
        if packages := missing_packages(one):
            missing[one.name] = packages
            log.warning("rival %s left out: it needs %s, which %s not installed. Type: %s", one.name, listed(packages),
                        "is" if len(packages) == 1 else "are", INSTALL)
    return missing


def _rival_key(name: str, data: str, seed: int) -> str:
    """Return the key of a rival, which conditions with the same data share."""
    identified = {**identity(find_rival(name)), "data": data, "seed": seed}
    return hashlib.sha256(json.dumps(identified, sort_keys=True).encode()).hexdigest()[:20]


def _configuration(
    grid: Grid, seed: int, condition: Condition, initialisation: Initialisation, trial: Mapping[str, Any]
) -> RunConfig:
    """Return the configuration of a run; of unseen words, only those of the test set are kept.

    The recipe is plain unless the grid has one: parts that see more than the vectors hide what the vectors are worth.
    """
    chosen = {
        "recipe": grid.run.get("recipe", "plain"),
        "data.unseen_words": 0, "source": initialisation.source, "transforms": list(initialisation.transforms),
        "embedding.freeze": initialisation.frozen, "data.limit_train": condition.limit_train, "seed": seed,
        **initialisation.assignments, **dict(condition.vary), **trial,
        **({"training.epochs": max(grid.after_epochs)} if grid.after_epochs else {}),
    }
    return RunConfig.from_mapping(with_values(grid.run, chosen.items()), where="the grid")


@contextmanager
def _warnings_once(logged: set[str]) -> Iterator[None]:
    """Log each kind of warning once, since the splits of one data set cause nearly the same ones."""
    def is_new(record: logging.LogRecord) -> bool:
        known = record.msg in logged
        logged.add(record.msg)
        return not known

    log.addFilter(is_new)
    try:
        yield
    finally:
        log.removeFilter(is_new)


class _CachedReader:
    """Reader that keeps the latest split of the data in memory.

    Args:
        task: the task of all runs.
        name: name of the data if it was read before; the findings are then not logged again.
    """

    def __init__(self, task: Task[Any], name: str = "") -> None:
        self.task, self.name = task, name
        self._cache: dict[str, tuple[Any, str]] = {}

    def __call__(self, config: RunConfig) -> tuple[RunConfig, str, bool]:
        """Return the resolved configuration, a hash of the data, and whether there is a dev set."""
        cache_key = json.dumps([config.seed, asdict(config.data)], sort_keys=True)
        if cache_key not in self._cache:
            self._cache.clear()  # runs are ordered by seed: one split at a time is enough
            splits = self.task.reader.read(config.data, seed=config.seed)
            self._cache[cache_key] = splits, data_hash(splits)
            if not self.name:  # once, not for every seed
                splits.findings.log()
        splits, hashed = self._cache[cache_key]
        self.name = splits.name
        setup = setup_for(config, self.task, splits)
        return replace(setup.config, data=setup.data, model=setup.model), hashed, bool(splits.dev)


def _key(resolved: RunConfig, data: str, after_epochs: Sequence[int]) -> str:
    corpus = CorpusFiles(tuple(map(Path, map(from_written, resolved.corpus)))).files() if resolved.corpus else []
    sources = [resolved.source, *([resolved.target_source] if resolved.target_source else [])]
    tokenizer = tokenizer_location(resolved.data)
    further = [*corpus, *files_of_start(resolved), *([subwords_file(from_written(tokenizer))] if tokenizer else [])]
    contents = [content_hashes(source, resolved.transforms, further) for source in sources]
    identity: dict[str, Any] = {"config": in_earlier_names(asdict(resolved)), "data": data, "contents": contents,
                                "version": version("vecformer")}
    if after_epochs:
        identity["after_epochs"] = after_epochs
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]
