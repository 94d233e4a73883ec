"""Time of whole runs, from files to measures, compared with a script for Hugging Face's Trainer and with fastText.

usage: python speed/whole_run.py DATASETS --peer-python PYTHON [--runs N] [--threads N] [--limit N]

Four data sets, each with train, dev and test files. `vecformer run` with default settings, and with `--recipe plain`,
trains vectors, a Transformer of two layers of width 128 and baselines, evaluates, and writes the run folder with its
report. The peer trains a BERT of the same size for as many epochs, evaluates it after each, and saves the best
(`peers/hf_whole_run.py`); fastText's classifier is trained and evaluated (`peers/fasttext_whole_run.py`). Times are
wall-clock times of whole processes.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import measuring
from measuring import HERE, VECFORMER, Figure, alternate, print_figures, ratio, spread, write_texts

EPOCHS = 4
FASTTEXT_EPOCHS = 25
FIRST = 100_000
LEAST, MOST_BASELINES = 4.0, 0.25
SHARE = re.compile(r"^baselines +[\d.]+ +([\d.]+)%", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """A data set; with ``labels``, as many labelled training texts are drawn, and the others are left out."""

    data: str
    labels: int = 0

    @property
    def name(self) -> str:
        """Name such as ``bbc, 1,500 labels``."""
        return f"{self.data}, {self.labels:,} labels" if self.labels else self.data


CASES = (Case("trec6"), Case("masakhanews_yor"), Case("bbc", 1_500), Case("ag_news"))


def measure(
    datasets: Path, *, peer_python: str, runs: int = 3, threads: int = 2, first: int = FIRST,
    cases: Sequence[Case] = CASES,
) -> list[Figure]:
    """Measure all runs alternately, each in a separate process.

    Args:
        datasets: folder of the data sets.
        peer_python: Python of the environment with the peers.
        runs: number of runs of each.
        threads: number of threads.
        first: maximum number of training texts of a data set.
        cases: data sets.
    """
    found: list[Figure] = []
    for case in cases:
        print(case.name, flush=True)
        with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
            data = write_parts(case, datasets, Path(folder) / "data", first=first)
            found += _measure(case, data, Path(folder) / "run", peer_python, runs, threads)
    return found


def _measure(case: Case, data: Path, out: Path, peer_python: str, runs: int, threads: int) -> list[Figure]:
    def ours(recipe: str, *options: str) -> tuple[float, str]:
        return timed([*VECFORMER, "run", "--data", data, "--recipe", recipe, "--epochs", EPOCHS, "--out", out,
                      "--overwrite", *options], threads=threads)

    def peer(script: str, *options: object) -> float:
        return timed([peer_python, HERE / "peers" / script, data, "--threads", threads, *options], threads=threads)[0]

    precision = ["--bfloat16"] if measuring.precision() == "bfloat16" else []
    seconds = alternate({
        "vecformer run, s": lambda: ours("auto")[0],
        "vecformer run --recipe plain, s": lambda: ours("plain")[0],
        "Hugging Face, s": lambda: peer("hf_whole_run.py", "--epochs", EPOCHS, *precision),
        "fastText, s": lambda: peer("fasttext_whole_run.py", "--epochs", FASTTEXT_EPOCHS),
    }, runs)
    default, plain, hugging_face, fasttext = seconds.values()
    # Runs of their own, because a profile measures the peak of the processor, which takes seconds.
    shares = {recipe: float(SHARE.findall(ours(recipe, "--profile")[1])[0]) / 100 for recipe in ("auto", "plain")}
    return [
        *(spread(f"{case.name}: {name}", values) for name, values in seconds.items()),
        ratio(f"{case.name}: vecformer run, speed-up over Hugging Face", hugging_face, default, at_least=LEAST),
        ratio(f"{case.name}: --recipe plain, speed-up over Hugging Face", hugging_face, plain, at_least=LEAST),
        ratio(f"{case.name}: vecformer run, time compared with fastText", default, fasttext),
        *(spread(f"{case.name}: share of the baselines, --recipe {recipe}", [share], at_most=MOST_BASELINES)
          for recipe, share in shares.items()),
    ]


def timed(command: Sequence[object], *, threads: int) -> tuple[float, str]:
    """Run a command and return the seconds of its process, and what it prints.

    Raises:
        subprocess.CalledProcessError: if it fails, after it has printed its message to stderr.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(HERE.parent)}
    start = time.perf_counter()
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return time.perf_counter() - start, done.stdout


def write_parts(case: Case, datasets: Path, folder: Path, *, first: int) -> Path:
    """Write the parts of a data set as JSON Lines into a new folder, where all candidates read them."""
    from pipeline.data.config import DataConfig
    from pipeline.data.readers.labelled import LabelledReader

    path = datasets / case.data
    config = DataConfig(path=str(path) if path.is_dir() else case.data, limit_train=case.labels)
    splits = LabelledReader().read(config, seed=1)
    folder.mkdir()
    n = len(splits.train)
    train = [splits.train[i * n // first] for i in range(first)] if first < n else splits.train
    for part, examples in (("train", train), ("dev", splits.dev), ("test", splits.test)):
        write_texts(folder / f"{part}.jsonl", ((one.text, one.label) for one in examples))
    return folder


if __name__ == "__main__":
    print_figures(measure, __doc__, first=FIRST)
