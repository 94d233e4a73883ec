"""The benchmark from grid to report: plan, execute missing runs, compare, write."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embeddings.errors import InUseError
from embeddings.specification.suggest import did_you_mean
from embeddings.table.arguments import argument
from embeddings.table.atomic_files import locked
from embeddings.threads import n_cores
from pipeline.benchmark.analysis.comparisons import n_comparisons
from pipeline.benchmark.analysis.disagreements import find_disagreements
from pipeline.benchmark.analysis.pending import pending_cells
from pipeline.benchmark.analysis.ranking import n_pairs
from pipeline.benchmark.analysis.rivals import n_rival_pairs
from pipeline.benchmark.analysis.selection import finite_measure, is_done, selected_keys
from pipeline.benchmark.analysis.sequential import first_look, looks, seeds_for_a_verdict
from pipeline.benchmark.analysis.summary import costs, summarize
from pipeline.benchmark.execution.jobs import Event, Executor, Job, Outcome
from pipeline.benchmark.execution.live_view import live_view
from pipeline.benchmark.grid import Grid
from pipeline.benchmark.plan import Plan, PlannedRun, compared, make_plan
from pipeline.benchmark.report.page import write_benchmark
from pipeline.benchmark.store import DONE, FAILED, BenchmarkFolder
from pipeline.config import RunConfig
from pipeline.errors import ConfigError, RunFolderError
from pipeline.runs.folder import write_json
from pipeline.telemetry.progress import bars

log = logging.getLogger("vecformer")


@dataclass(frozen=True)
class BenchmarkResult:
    """A finished benchmark.

    Attributes:
        path: its folder.
        summary: contents of ``summary.json``.
        costs: contents of ``costs.json``.
        data_sets: the benchmark of each data set, by its name; empty for a benchmark on one.
    """

    path: Path
    summary: Mapping[str, Any]
    costs: Mapping[str, Any]
    data_sets: Mapping[str, BenchmarkResult] = field(default_factory=dict)


def benchmark(
    grid: Grid, out: str | Path, *, executor: Executor | None = None, n_jobs: int = 0, n_threads: int = 0,
    command: str = "", quiet: bool = True, texts: bool = True,
) -> BenchmarkResult:
    """Execute every combination of a grid that has no result in the folder yet, and compare the results.

    A failed run is recorded and repeated by the next call. A benchmark that was interrupted or killed can be continued
    by the same call; ``summary.json`` is then the same, byte by byte. With ``grid.until_settled``, seeds are added
    until every comparison is settled (:mod:`pipeline.benchmark.analysis.sequential`). With several data sets in
    ``grid.data``, each has a benchmark of its own, and the results are compared over all of them
    (:mod:`pipeline.benchmark.data_sets`).

    Args:
        grid: the combinations to run.
        out: folder to create, or the folder of an earlier benchmark with the same or another grid.
        executor: executes the runs; by default processes on this machine.
        n_jobs: number of concurrent runs; 0 for one per core.
        n_threads: threads of each run; 0 for an equal share of the cores.
        command: command that repeats the benchmark, for the report.
        quiet: show no progress.
        texts: show test examples in the report; False for data that must not be redistributed.

    Raises:
        PipelineError, EmbeddingError: if the grid, its data or the folder is invalid.
        KeyboardInterrupt: if interrupted; finished runs are kept.
    """
    from pipeline.benchmark.execution.local import LocalExecutor

    if grid.data:
        from pipeline.benchmark.data_sets import benchmark_data_sets

        return benchmark_data_sets(grid, out, executor=executor, n_jobs=n_jobs, n_threads=n_threads, command=command,
                                   quiet=quiet, texts=texts)
    folder = BenchmarkFolder(Path(out))
    with folder_locked(folder):
        if folder.data_sets.exists():
            raise RunFolderError(f"{folder.path} contains a benchmark on several data sets; choose another "
                                 f"{argument('out')}")
        n_jobs = n_jobs or n_cores()
        n_threads = n_threads or max(1, n_cores() // n_jobs)
        executor = executor or LocalExecutor(n_jobs)
        plan: Plan | None = None
        cells: set[tuple[str, str]] | None = None
        for n_seeds in _numbers_of_seeds(grid):
            with bars(quiet=quiet) as progress:
                plan = make_plan(grid, command=command, progress=progress, n_seeds=n_seeds, earlier=plan, cells=cells)
            if cells is None:
                _warn_of_few_seeds(plan.to_dict())
                folder.write_grid(grid)
            is_complete = _execute_missing(plan, folder, executor, n_threads, quiet=quiet)
            cells = _cells_to_continue(plan, folder) if grid.until_settled and is_complete else set()
            if not cells:
                break
        if is_complete:
            folder.remove_work()
        assert plan is not None
        return write_results(plan, folder, texts=texts)


def _numbers_of_seeds(grid: Grid) -> list[int]:
    """Return the number of seeds of the grid, or those at its looks if it is until settled.

    Raises:
        ConfigError: if it is until settled, and there are no comparisons, or too few seeds for any.
    """
    if not grid.until_settled:
        return [grid.seeds]
    ms = [m for m in (n(compared(grid)) for n in (n_comparisons, n_pairs, n_rival_pairs)) if m]
    if not ms:
        raise ConfigError(f"there are no comparisons to settle; add another {argument('source')}")
    numbers = sorted({n for m in ms for n in looks(m, grid.max_seeds)})
    if not numbers:
        raise ConfigError(f"{argument('max_seeds', str(grid.max_seeds))} is too small: the first look at the "
                          f"comparisons is with {min(map(first_look, ms))} seeds")
    return numbers


def _cells_to_continue(plan: Plan, folder: BenchmarkFolder) -> set[tuple[str, str]]:
    """Return the initialisations and conditions that need more seeds."""
    return pending_cells(summarize(plan.to_dict(), folder.read().values()))


def _warn_of_few_seeds(plan: Mapping[str, Any]) -> None:
    """Log before the first run if the comparisons with the baseline, or those of the sources, cannot have a verdict."""
    name, n = ("max_seeds", plan["max_seeds"]) if plan.get("until_settled") else ("seeds", len(plan["seeds"]))
    for m, what in ((n_comparisons(plan), f"comparison{{s}} with {plan['baseline']}"),
                    (n_pairs(plan), "comparison{s} of the sources with one another"),
                    (n_rival_pairs(plan), "comparison{s} with rivals")):
        if m and n < (needed := seeds_for_a_verdict(plan, m)):
            log.warning("%d seed%s too few for a verdict: %d %s need%s at least %d. Add %s", n,
                        "s are" if n > 1 else " is", m, what.format(s="s" * (m > 1)), "s" * (m == 1), needed,
                        argument(name, str(needed)))


def write_results(plan: Plan, folder: BenchmarkFolder, *, texts: bool = True) -> BenchmarkResult:
    """Compare the finished runs, and write ``summary.json``, ``costs.json``, ``report.html`` and the plots.

    Raises:
        ConfigError: if the runs do not have the plan's measure.
    """
    planned, records = plan.to_dict(), folder.read()
    _require_measure(plan, records)
    summary, costed = summarize(planned, records.values()), costs(planned, records.values())
    found = find_disagreements(summary, selected_keys(planned, records.values()),
                               lambda key: folder.predictions_of(key, records[key]))
    write_json(folder.summary, summary)
    write_json(folder.costs, costed)
    shown = found if texts else [{**one, "examples": []} for one in found]
    write_benchmark(folder.path, summary, costed, shown, _configurations(plan, records))
    return BenchmarkResult(folder.path, summary, costed)


def _require_measure(plan: Plan, records: Mapping[str, Mapping[str, Any]]) -> None:
    tests = [records[run.key]["test"] for run in plan.runs if is_done(records.get(run.key))]
    known = sorted({name for test in tests for name in test if name != "n" and finite_measure(test, name) is not None})
    if tests and plan.measure not in known:
        raise ConfigError(f"no measure {plan.measure!r}.{did_you_mean(plan.measure, known)} The finished runs, which "
                          f"are kept, have {', '.join(known)}")


@contextmanager
def folder_locked(folder: BenchmarkFolder) -> Iterator[None]:
    """Create the folder and lock it for this process."""
    folder.require_benchmark()
    is_new = not folder.path.exists()
    try:
        with ExitStack() as stack:
            try:
                folder.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(folder.results))  # within the folder, which may be a mount point
            except InUseError as error:
                raise RunFolderError(f"{folder.path} is in use by another process; wait for it, or choose another "
                                     f"{argument('out')}") from error
            except OSError as error:
                raise RunFolderError(f"{folder.path}: cannot write there ({error.strerror or error}); choose another "
                                     f"{argument('out')}") from error
            yield
    finally:
        if is_new and folder.path.is_dir() and folder.is_empty():  # planning failed
            with suppress(OSError):
                folder.path.rmdir()


def _execute_missing(
    plan: Plan, folder: BenchmarkFolder, executor: Executor, n_threads: int, *, quiet: bool
) -> bool:
    """Execute the runs of a plan that have no result, and return whether all of them have one now."""
    records = folder.read()
    done = {key for key, record in records.items() if record["status"] == DONE}
    planned = {run.key: run for run in plan.runs}
    missing = [run for run in planned.values() if run.key not in done]
    jobs = [Job(run.key, run.name, run.config, folder.work.absolute(), n_threads, plan.grid.baselines, rival=run.rival,
                after_epochs=plan.grid.earlier_epochs, selects_epoch=not plan.grid.after_epochs) for run in missing]
    n_done = len(planned) - len(missing)
    with live_view(plan.to_dict(), records, quiet=quiet) as show_event:

        def on_event(event: Event) -> None:
            nonlocal n_done
            if event.outcome is not None:
                record = result_record(planned[event.job.key], event.outcome)
                folder.add(record, event.outcome.predictions)
                n_done += record["status"] == DONE
            show_event(event)

        try:
            executor.run(jobs, on_event)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(f"{n_done} of {len(planned)} runs are done and kept; the same command continues "
                                    "the benchmark") from stop
    folder.remove_temporary()
    return n_done == len(planned)


def result_record(run: PlannedRun, outcome: Outcome) -> dict[str, Any]:
    """Return the record of a finished run for ``results.jsonl``."""
    identity = {"key": run.key, "status": FAILED if outcome.error else DONE, "name": run.name,
                "start": run.start, "condition": run.condition.name, "trial": dict(run.trial),
                "seed": run.seed}
    if outcome.error:
        return {**identity, "error": outcome.error, "detail": outcome.detail}
    return {**identity, **outcome.record}


def _configurations(plan: Plan, records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the configuration of each combination with its first finished seed."""
    configurations: dict[str, str] = {}
    for run in plan.runs:
        record = records.get(run.key, {})
        name = run.name.rpartition(", seed ")[0]
        if run.condition.is_end and name not in configurations and record.get("config"):  # rivals have none
            configurations[name] = RunConfig.from_mapping(record["config"]).to_toml()
    return [{"name": name, "toml": toml} for name, toml in configurations.items()]
