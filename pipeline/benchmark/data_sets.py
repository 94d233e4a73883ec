"""A benchmark on several data sets: one for each, in a folder of its own, and the results over all of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from embeddings.table.arguments import argument
from pipeline.benchmark import driver
from pipeline.benchmark.analysis.over_data_sets import summarize_data_sets
from pipeline.benchmark.grid import Grid
from pipeline.benchmark.plan import make_plan
from pipeline.benchmark.report.data_sets_page import write_data_sets
from pipeline.benchmark.store import BenchmarkFolder
from pipeline.config import with_values
from pipeline.errors import ConfigError, RunFolderError
from pipeline.runs.folder import write_json
from pipeline.telemetry.progress import bars


def benchmark_data_sets(
    grid: Grid, out: str | Path, *, command: str = "", quiet: bool = True, **options: Any
) -> driver.BenchmarkResult:
    """Run the benchmark of a grid on each of its data sets, and compare the results over all of them.

    The benchmark of a data set is in ``datasets/NAME`` of the folder, and can be continued or read on its own.

    Args:
        grid: a grid with ``data``.
        out: folder to create, or the folder of an earlier call.
        command: command that repeats the benchmark, for the report.
        quiet: show no progress.
        options: further arguments of :func:`pipeline.benchmark.driver.benchmark`.

    Raises:
        PipelineError, EmbeddingError: if the grid, a data set or the folder is invalid; before the first run.
        KeyboardInterrupt: if interrupted; finished runs are kept.
    """
    folder = BenchmarkFolder(Path(out))
    with driver.folder_locked(folder):
        if folder.results.exists():
            raise RunFolderError(f"{folder.path} contains a benchmark on one data set; choose another "
                                 f"{argument('out')}")
        grids = _grids(grid, quiet=quiet)
        folder.write_grid(grid)
        results = {name: driver.benchmark(one, folder.data_sets / name, command=command, quiet=quiet, **options)
                   for name, one in grids.items()}
        summary = summarize_data_sets({name: result.summary for name, result in results.items()}, command)
        costs = {"data_sets": {name: result.costs for name, result in results.items()}}
        write_json(folder.summary, summary)
        write_json(folder.costs, costs)
        write_data_sets(folder.path, summary, {name: result.summary for name, result in results.items()})
        return driver.BenchmarkResult(folder.path, summary, costs, results)


def _grids(grid: Grid, *, quiet: bool) -> dict[str, Grid]:
    """Return the grid of each data set by its name, after reading the data of the first seed."""
    grids: dict[str, Grid] = {}
    for path in grid.data:
        one = replace(grid, data=(), run=with_values(grid.run, [("data.path", path)]))
        with bars(quiet=quiet) as progress:
            name = re.sub(r"[^\w.-]|^\.", "_", make_plan(one, command="", progress=progress, n_seeds=1).data)
        if name in grids:
            raise ConfigError(f"{argument('data')}: two data sets have the name {name}; rename one of them")
        grids[name] = one
    return grids
