"""Test accuracy after labelling the texts that ``vecformer suggest`` ranks first, compared with random texts.

usage: python quality/suggested_labels.py [--datasets DIR] [--seeds 20] [--only trec6]

For each data set and seed, a run is trained on 50 labelled texts. Then 50 of 2,000 other texts are labelled: those that
are suggested for the run, or random ones, and a new run is trained on the 100 texts. Both have the same seed. Results
are appended to docs/findings/2026-11-30-suggest.jsonl; a result that is there already is not measured again. At the end
the paired verdicts are printed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

import vecformer
from pipeline.benchmark.analysis.statistics import as_family

RESULTS = Path(__file__).parents[1] / "docs" / "findings" / "2026-11-30-suggest.jsonl"
DATASETS = ("trec6", "ag_news")
N_LABELLED, N_MORE, N_POOL, N_TEST = 50, 50, 2000, 1000
CONFIG = {"recipe": "plain", "source": "glove", "baselines": "none", "data": {"max_length": 64},
          "model": {"d_model": 64, "n_layers": 2, "n_heads": 4, "d_ff": 128},
          "training": {"epochs": 20, "batch_size": 8}}

Rows = list[tuple[str, str]]


def read(path: Path) -> Rows:
    """Read texts with their labels."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def write(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write texts with their labels."""
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8")


def trained(folder: Path, train: Rows, test: Rows, labels: Sequence[str], seed: int) -> tuple[float, Path]:
    """Train a run and return its test accuracy and its folder."""
    folder.mkdir()
    write(folder / "train.tsv", train)
    write(folder / "test.tsv", test)
    config = vecformer.RunConfig.from_mapping(
        {**CONFIG, "seed": seed, "data": {**CONFIG["data"], "path": str(folder), "labels": list(labels)}})
    return vecformer.run(config, folder / "run").metrics["test"]["accuracy"], folder / "run"


def measure(dataset: Path, seed: int) -> dict[str, float]:
    """Return the accuracy with the first labels, and with further ones, suggested and random."""
    draw = np.random.default_rng(seed)
    rows, test = read(dataset / "train.tsv"), read(dataset / "test.tsv")[:N_TEST]
    labels = sorted({label for _, label in rows})
    order = draw.permutation(len(rows))
    labelled = [rows[i] for i in order[:N_LABELLED]]
    pool = [rows[i] for i in order[N_LABELLED : N_LABELLED + N_POOL]]
    at_random = [pool[i] for i in draw.permutation(len(pool))[:N_MORE]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, run = trained(folder / "first", labelled, test, labels, seed)
        found = vecformer.suggest(run, [text for text, _ in pool], N_MORE)
        suggested = [pool[one.row] for one in found]
        return {"before": first,
                "random": trained(folder / "random", labelled + at_random, test, labels, seed)[0],
                "suggested": trained(folder / "suggested", labelled + suggested, test, labels, seed)[0]}


def stored() -> list[dict[str, object]]:
    """Return the stored results."""
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.exists() else []


def report(results: Sequence[dict[str, object]]) -> str:
    """Return a table with the mean accuracies, and the paired differences with verdicts as one family."""
    names = list(dict.fromkeys(str(one["dataset"]) for one in results))
    of = {name: [one for one in results if one["dataset"] == name] for name in names}
    family = as_family([[float(one["suggested"]) - float(one["random"]) for one in of[name]] for name in names])
    lines = ["| data | seeds | 50 labels | + 50 random | + 50 suggested | difference [95% CI] | p (Holm) | verdict |",
             "|---|---:|---:|---:|---:|---|---:|---|"]
    for name, tested in zip(names, family, strict=True):
        means = [f"{100 * fmean(float(one[key]) for one in of[name]):.1f}" for key in ("before", "random", "suggested")]
        low, high = tested.difference.interval or (float("nan"), float("nan"))
        lines.append(f"| {name} | {len(of[name])} | {' | '.join(means)} | {100 * tested.difference.mean:+.1f} "
                     f"[{100 * low:+.1f}, {100 * high:+.1f}] | {tested.p_holm:.3f} | {tested.verdict} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, default=Path(os.environ.get("VECFORMER_DATASETS", "datasets")))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default=",".join(DATASETS), help="data sets, separated by commas")
    given = parser.parse_args()
    for seed in range(1, given.seeds + 1):
        for name in given.only.split(","):
            if not any((one["dataset"], one["seed"]) == (name, seed) for one in stored()):
                record = {"dataset": name, "seed": seed, **measure(given.datasets / name, seed)}
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
    print(report(sorted(stored(), key=lambda one: (str(one["dataset"]), int(str(one["seed"]))))))


if __name__ == "__main__":
    main()
