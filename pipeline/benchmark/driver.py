"""The benchmark itself: plan, make the runs that are missing, compare, write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.specification.suggest import did_you_mean
from pipeline.benchmark.analysis.disagreements import flips
from pipeline.benchmark.analysis.selection import chosen_keys, is_done, number
from pipeline.benchmark.analysis.summary import costs, summarize
from pipeline.benchmark.execution.jobs import Event, Executor, Job, Outcome
from pipeline.benchmark.execution.live_view import watch
from pipeline.benchmark.grid import Grid
from pipeline.benchmark.plan import Plan, PlannedRun, make_plan
from pipeline.benchmark.report.page import write_benchmark
from pipeline.benchmark.store import DONE, FAILED, BenchmarkFolder
from pipeline.config import RunConfig
from pipeline.errors import ConfigError, RunFolderError
from pipeline.runs.folder import write_json
from pipeline.telemetry.progress import bars


@dataclass(frozen=True)
class Benchmarked:
    """A benchmark that has ended.

    Attributes:
        path: its folder.
        summary: what ``summary.json`` holds.
        costs: what ``costs.json`` holds.
    """

    path: Path
    summary: Mapping[str, Any]
    costs: Mapping[str, Any]


def benchmark(
    grid: Grid, out: str | Path, *, executor: Executor | None = None, n_jobs: int = 0, n_threads: int = 0,
    command: str = "", quiet: bool = True, texts: bool = True,
) -> Benchmarked:
    """Run every combination of a grid that the folder has no result of, and say what the results come to.

    A run that fails is recorded and made again the next time. Stopped, even killed, the benchmark goes on where it was
    when it is called again, and ends in the same ``summary.json``.

    Args:
        grid: what to compare.
        out: a folder; made, or gone on with if a benchmark made it, whatever that compared.
        executor: makes the runs; by default processes on this machine.
        n_jobs: how many runs at a time; 0 for one a core.
        n_threads: cores that each of them has; 0 for its share.
        command: that repeats it, for the report.
        quiet: show nothing of the work under way.
        texts: show texts of test examples in the report; without them it can be passed on where the data cannot.

    Raises:
        PipelineError, EmbeddingError: if the grid, its data or the folder are not in order.
        KeyboardInterrupt: if it is stopped; what was done is kept.
    """
    from pipeline.benchmark.execution.local import LocalExecutor

    folder = BenchmarkFolder(Path(out))
    with _held(folder):
        with bars(quiet=quiet) as progress:
            plan = make_plan(grid, command=command, progress=progress)
        folder.grid.write_text(grid.to_toml(), encoding="utf-8")
        n_jobs = n_jobs or n_cores()
        n_threads = n_threads or max(1, n_cores() // n_jobs)
        _make_missing(plan, folder, executor or LocalExecutor(n_jobs), n_threads, quiet=quiet)
        return conclude(plan, folder, texts=texts)


def n_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def conclude(plan: Plan, folder: BenchmarkFolder, *, texts: bool = True) -> Benchmarked:
    """Compare what there is, and write ``summary.json``, ``costs.json``, ``report.html`` and the plots.

    Raises:
        ConfigError: if the runs have no such measure.
    """
    described, records = plan.described(), folder.read()
    _require_measure(plan, records)
    summary, costed = summarize(described, records.values()), costs(described, records.values())
    write_json(folder.summary, summary)
    write_json(folder.costs, costed)
    found = flips(summary, chosen_keys(described, records.values()), folder.predictions_of)
    shown = found if texts else [{**one, "examples": []} for one in found]
    write_benchmark(folder.path, summary, costed, shown, _configurations(plan, records))
    return Benchmarked(folder.path, summary, costed)


def _require_measure(plan: Plan, records: Mapping[str, Mapping[str, Any]]) -> None:
    tests = [records[run.key]["test"] for run in plan.runs if is_done(records.get(run.key))]
    known = sorted({name for test in tests for name in test if name != "n" and number(test, name) is not None})
    if tests and plan.measure not in known:
        raise ConfigError(f"no measure {plan.measure!r}.{did_you_mean(plan.measure, known)} The runs, which are kept, "
                          f"have {', '.join(known)}")


@contextmanager
def _held(folder: BenchmarkFolder) -> Iterator[None]:
    """Make the folder, and hold it against other processes."""
    from filelock import FileLock, Timeout

    folder.require_ours()
    folder.path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.lock, timeout=0):
            try:
                yield
            finally:
                if folder.is_empty():  # the mistake came to light before anything was begun
                    shutil.rmtree(folder.path)
    except Timeout as error:
        raise RunFolderError(f"{folder.path}: another process is at work in it; wait for it, or choose another --out"
                             ) from error


def _make_missing(
    plan: Plan, folder: BenchmarkFolder, executor: Executor, n_threads: int, *, quiet: bool
) -> None:
    records = folder.read()
    done = {key for key, record in records.items() if record["status"] == DONE}
    planned = {run.key: run for run in plan.runs}
    missing = [run for run in planned.values() if run.key not in done]
    jobs = [Job(run.key, run.name, run.config, folder.work.absolute(), n_threads, plan.grid.baselines)
            for run in missing]
    n_done = len(planned) - len(missing)
    with watch(plan.described(), records, quiet=quiet) as watching:

        def told(event: Event) -> None:
            nonlocal n_done
            if event.outcome is not None:
                record = recorded(planned[event.job.key], event.outcome)
                folder.add(record, event.outcome.predictions)
                n_done += record["status"] == DONE
            watching(event)

        try:
            executor.run(jobs, told)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(f"{n_done} of {len(planned)} runs are done and kept; the same command goes on"
                                    ) from stop
    if n_done == len(planned):
        shutil.rmtree(folder.work, ignore_errors=True)


def recorded(run: PlannedRun, outcome: Outcome) -> dict[str, Any]:
    """The line of ``results.jsonl`` for a run that has ended."""
    identity = {"key": run.key, "status": FAILED if outcome.error else DONE, "name": run.name, "start": run.start.name,
                "condition": run.condition.name, "trial": dict(run.trial), "seed": run.seed}
    if outcome.error:
        return {**identity, "error": outcome.error, "detail": outcome.detail}
    return {**identity, **outcome.record}


def _configurations(plan: Plan, records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """The configuration of each combination, that of its first seed that was run."""
    made: dict[str, str] = {}
    for run in plan.runs:
        record = records.get(run.key, {})
        name = run.name.rpartition(", seed ")[0]
        if name not in made and "config" in record:
            made[name] = RunConfig.from_mapping(record["config"]).to_toml()
    return [{"name": name, "toml": toml} for name, toml in made.items()]
