"""Execute the runs from which `vecformer rank` learns, and store their results with the features of the sources.

Eight data sets with few labels, eight sources, several draws. The training sets are cut to 4,000 texts, the dev sets to
200 and the test sets to 1,000, once for all runs. The seeds differ in the labelled examples drawn, in the initial
weights and in the vectors trained. An interrupted call continues.

    PYTHONPATH=.venv-vectors python speed/forecast_runs.py --datasets DATASETS --out runs/forecast
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.table.oov_policy import DEFAULT_POLICY
from pipeline.benchmark import forecast
from pipeline.benchmark.driver import benchmark
from pipeline.benchmark.forecast.features import TaskTexts, features_of
from pipeline.benchmark.forecast.loading import UntrainedSources
from pipeline.benchmark.forecast.stored_runs import COLUMNS, FILE
from pipeline.benchmark.grid import Grid, read_grid
from pipeline.benchmark.store import BenchmarkFolder
from pipeline.data.config import DataConfig
from pipeline.data.examples import Example, Splits
from pipeline.data.readers.labelled import LabelledReader

DATA = ("trec6", "sst2", "mr", "ag_news", "germeval2018_de", "masakhanews_yor", "afrisenti_swa", "bbc")
LIMITS = {"train": 4000, "dev": 200, "test": 1000}
GRID = Path(__file__).parent / "grids" / "forecast.toml"
STORED = Path(forecast.__file__).parent / FILE
DECIMALS = 4


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


def rows_of(name: str, folder: Path, grid: Grid) -> Iterator[dict[str, Any]]:
    """Yield the finished runs of a data set, with the features of their sources on the labelled examples drawn."""
    wanted = {one.source for one in grid.initialisations}
    records = [one for one in BenchmarkFolder(folder / name).read().values()
               if one["status"] == "done" and one["start"] in wanted and one["seed"] <= grid.seeds]
    if not records:
        return
    whole = LabelledReader().read(DataConfig(path=str(folder / "data" / name)), seed=1)
    max_length = grid.run["data"]["max_length"]
    loader = UntrainedSources(texts_of(whole, max_length))
    tables = {one.source: loader.load(one.source) for one in grid.initialisations}
    draws: dict[tuple[int, int], TaskTexts] = {}
    for record in sorted(records, key=lambda one: (one["config"]["data"]["limit_train"], one["seed"])):
        n_labels, seed = record["config"]["data"]["limit_train"], record["seed"]
        if (n_labels, seed) not in draws:
            config = DataConfig(path=str(folder / "data" / name), limit_train=n_labels)
            draws = {(n_labels, seed): texts_of(LabelledReader().read(config, seed=seed), max_length)}
        table, is_trained = tables[record["start"]]
        test = record["test"]
        yield {"data": name, "n_labels": n_labels, "seed": seed, "source": record["start"],
               "accuracy": test["accuracy"], "macro_f1": test["macro_f1"], "dev_accuracy": record["dev"]["accuracy"],
               "n_test": test["n"], "trained": float(is_trained),
               **features_of(table, draws[n_labels, seed], DEFAULT_POLICY)}


def texts_of(splits: Splits[Example], max_length: int) -> TaskTexts:
    """Return the training texts and labels, and the texts without labels."""
    return TaskTexts([one.text for one in splits.train], [one.label for one in splits.train],
                     [str(text) for text in splits.unlabelled], max_length=max_length)


def write(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the stored results."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: round(value, DECIMALS) if isinstance(value, float) else value
                          for key, value in row.items()} for row in rows)


def main() -> None:
    """Execute the runs that are missing, and store the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/forecast"), help="folder of the results")
    arguments = parser.parse_args()
    folders = {name: prepare(name, arguments.datasets, arguments.out / "data" / name) for name in DATA}
    grid = read_grid(GRID, {"run": {"data.path": "bbc"}})
    for seeds in range(1, grid.seeds + 1):  # an early stop leaves all data sets with the same seeds
        for name, folder in folders.items():
            shared = read_grid(GRID, {"run": {"data.path": str(folder)}, "seeds": seeds})
            benchmark(shared, arguments.out / name, n_jobs=1, n_threads=1)
    write([row for name in DATA for row in rows_of(name, arguments.out, grid)], STORED)


if __name__ == "__main__":
    main()
