"""Training time with one thread in each of several processes, compared with as many threads in one process.

usage: python speed/processes.py DATASETS [--runs N] [--threads N] [--data NAME,NAME]

`vecformer run --recipe plain` for one epoch, with batches of 16 and of 64 texts, in one process with all threads, and
started by torchrun in a process per thread, which share the batches. Times are those of the training in metrics.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from measuring import HERE, VECFORMER, Figure, alternate, assigned, ratio, spread

DATA = ("ag_news", "masakhanews_yor")
BATCH_SIZES = (16, 64)
LEAST = 0.9
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python", "--nproc-per-node")


def measure(datasets: Path, *, runs: int = 3, threads: int = 2, data: Sequence[str] = DATA) -> list[Figure]:
    """Measure all runs alternately.

    Args:
        datasets: folder of the data sets.
        runs: number of runs of each.
        threads: number of threads, and of processes with one thread.
        data: names of data sets.
    """
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        for name, size in product(data, BATCH_SIZES):
            found += _measure(datasets / name, Path(folder) / "run", size, runs, threads)
    return found


def _measure(data: Path, out: Path, size: int, runs: int, n: int) -> list[Figure]:
    case = f"{data.name}, batches of {size}"
    one, several = alternate({
        f"{case}: one process, {n} threads, s":
            lambda: training_seconds(data, out, processes=1, threads=n, batch_size=size),
        f"{case}: {n} processes, one thread each, s":
            lambda: training_seconds(data, out, processes=n, threads=1, batch_size=size // n),
    }, runs).values()
    return [spread(f"{case}: one process, s", one), spread(f"{case}: {n} processes, s", several),
            ratio(f"{case}: speed of {n} processes compared with one", one, several, at_least=LEAST)]


def training_seconds(data: Path, out: Path, *, processes: int, threads: int, batch_size: int) -> float:
    """Train for one epoch and return the seconds of the training.

    Args:
        data: folder of the data set.
        out: folder of the run; an earlier run there is replaced.
        processes: number of processes.
        threads: number of threads of each.
        batch_size: number of texts that each process takes at a time.

    Raises:
        subprocess.CalledProcessError: if it fails, after it has printed its message to stderr.
    """
    before = () if processes == 1 else (*TORCHRUN, processes)
    command = [*before, *VECFORMER, "run", "--data", data, "--recipe", "plain", "--source", "random", "--epochs", 1,
               "--baselines", "none", "--out", out, "--overwrite", "--quiet",
               *assigned(f"training.batch_size={batch_size}")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(HERE.parent)}
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, env=environment)
    return float(json.loads((out / "metrics.json").read_text(encoding="utf-8"))["training"]["seconds"])


def main() -> None:
    """Measure and print one JSON line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", default=",".join(DATA), help="names of data sets, separated by commas")
    given = parser.parse_args()
    for figure in measure(given.datasets, runs=given.runs, threads=given.threads, data=given.data.split(",")):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
