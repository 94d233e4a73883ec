"""Execute the runs from which `vecformer rank` learns: eight data sets, few labels, nine sources, several draws.

The training sets are cut to 4,000 texts, the dev sets to 200 and the test sets to 1,000, once for all runs. The seeds
differ in the labelled examples drawn, in the initial weights and in the vectors trained. An interrupted call continues.

    PYTHONPATH=.venv-vectors python speed/forecast_runs.py --datasets DATASETS --out runs/forecast
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.benchmark.driver import benchmark
from pipeline.benchmark.grid import Grid, read_grid
from pipeline.data.config import DataConfig
from pipeline.data.examples import Example
from pipeline.data.readers.labelled import LabelledReader

DATA = ("trec6", "sst2", "mr", "ag_news", "germeval2018_de", "masakhanews_yor", "afrisenti_swa", "bbc")
LIMITS = {"train": 4000, "dev": 200, "test": 1000}
GRID = Path(__file__).parent / "grids" / "forecast.toml"
LARGEST, SEEDS_OF_LARGEST = 800, 2  # runs with 800 labels take as long as those with 50 to 400 together


def prepare(name: str, datasets: Path, folder: Path) -> Path:
    """Write the parts of a data set, cut to the limits, into a folder unless it exists."""
    if folder.exists():
        return folder
    path = name if name == "bbc" else str(datasets / name)
    found = LabelledReader().read(DataConfig(path=path), seed=1)
    unfinished = folder.with_name(f"{name}.part")
    unfinished.mkdir(parents=True, exist_ok=True)
    for part, limit in LIMITS.items():
        lines = [json.dumps({"text": one.text, "label": one.label}, ensure_ascii=False)
                 for one in cut(getattr(found, part), limit)]
        (unfinished / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    unfinished.rename(folder)
    return folder


def cut(examples: Sequence[Example], n: int) -> list[Example]:
    """Draw at most ``n`` examples, the same ones in every call, in their order."""
    return [examples[row] for row in np.sort(np.random.default_rng(1).permutation(len(examples))[:n])]


def passes(grid: Grid) -> list[Grid]:
    """Divide the grid, so that an early stop leaves all data sets with the same seeds."""
    most = [replace(grid, seeds=seeds) for seeds in range(1, grid.seeds + 1)]
    return [*most, replace(grid, limit_train=(LARGEST,), seeds=SEEDS_OF_LARGEST)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/forecast"), help="folder of the results")
    arguments = parser.parse_args()
    folders = {name: prepare(name, arguments.datasets, arguments.out / "data" / name) for name in DATA}
    for part in passes(read_grid(GRID, {"run": {"data.path": "bbc"}})):
        for name, folder in folders.items():
            options = {"run": {"data.path": str(folder)}, "seeds": part.seeds}
            if part.limit_train == (LARGEST,):
                options["limit_train"] = [LARGEST]
            benchmark(read_grid(GRID, options), arguments.out / name, n_jobs=1, n_threads=1, quiet=True)


if __name__ == "__main__":
    main()
