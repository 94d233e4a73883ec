"""Time and memory of whole runs on many texts, compared with fastText, and of predictions for the lines of a pipe.

usage: python speed/large.py DATASETS --peer-python PYTHON [--sizes N,N] [--lines N,N] [--recipe RECIPE] [--threads N]

The texts have 37 words: 18 words of a training text of `ag_news` and 19 of another one with the same label, both drawn
for each text at random. `vecformer run --epochs 1 --set model.d_model=64` reads them, trains, evaluates on the dev set
of `ag_news`, and writes the run; fastText's classifier is trained on the same file for one epoch. An exponent is the
slope of a least-squares line through the logarithms: with twice the texts, the cost is 2 to that power as high.
Predictions are those of `vecformer predict` for lines of its standard input. Times and peak memory are those of whole
processes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import linear_regression
from typing import NamedTuple

from measuring import HERE, VECFORMER, Figure, ratio, read_texts, spread, write_texts

SIZES = (40_000, 400_000, 4_000_000)
LINES = (100_000, 1_000_000)
PARTS = (18, 19)  # words of the two texts
LIMITS = {400_000: {"MB": 1_000, "s": 110}, 4_000_000: {"MB": 4_000}}
LAUNCH = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(json.dumps([status, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""  # a small process, because the peak of a process includes that of the one that started it
MOST_EXPONENT, MOST_GROWTH = 1.05, 1.05


class Cost(NamedTuple):
    """The cost of a process.

    Attributes:
        seconds: wall-clock time.
        memory_mb: peak memory in MiB.
    """

    seconds: float
    memory_mb: float


def measure(
    datasets: Path, *, peer_python: str, threads: int = 2, sizes: Sequence[int] = SIZES, lines: Sequence[int] = LINES,
    recipe: str = "auto",
) -> list[Figure]:
    """Measure runs of each size once, and predictions for each number of lines by a run of the smallest size.

    Args:
        datasets: folder of the data sets.
        peer_python: Python of the environment with the peers.
        threads: number of threads.
        sizes: numbers of training texts, in ascending order.
        lines: numbers of lines, in ascending order.
        recipe: recipe of the runs.
    """
    found: list[Figure] = []
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="vecformer-") as scratch:
        folder = Path(scratch)
        data = folder / "data"
        data.mkdir()
        write_texts(data / "test.jsonl", read_texts(datasets / "ag_news" / "dev.tsv"))
        for size in sizes:
            write_texts(data / "train.jsonl", recombined(datasets / "ag_news" / "train.tsv", size))
            run = folder / f"run-{size}"
            ours.append(cost([*VECFORMER, "run", "--data", data, "--recipe", recipe, "--epochs", 1, "--set",
                              "model.d_model=64", "--out", run, "-q"], threads=threads))
            theirs.append(cost([peer_python, HERE / "peers" / "fasttext_whole_run.py", data, "--epochs", 1, "--threads",
                                threads], threads=threads))
            found += [*_figures(f"{size:,} texts", ours[-1], LIMITS.get(size, {})),
                      *_figures(f"{size:,} texts, fastText", theirs[-1], {})]
            print(json.dumps(found[-4:]), flush=True)
        if len(sizes) > 1:
            found += [{"figure": f"{name}, exponent of the time", "median": _exponent(sizes, costs), **more}
                      for name, costs, more in (("vecformer", ours, {"at_most": MOST_EXPONENT}),
                                                ("fastText", theirs, {}))]
        peaks = []
        for n in lines:
            file = folder / "lines.txt"
            file.write_text("".join(f"{text}\n" for text, _ in recombined(datasets / "ag_news" / "train.tsv", n)))
            spent = cost([*VECFORMER, "predict", folder / f"run-{sizes[0]}"], threads=threads, stdin=file)
            peaks.append(spent.memory_mb)
            found += _figures(f"prediction of {n:,} lines", spent, {})
        found += [ratio(f"memory for {last:,} lines compared with {first:,}", [peaks[-1]], [peaks[0]],
                        at_most=MOST_GROWTH) for first, last in [(lines[0], lines[-1])] if len(lines) > 1]
    return found


def _figures(name: str, spent: Cost, limits: dict[str, float]) -> list[Figure]:
    values = {"s": spent.seconds, "MB": spent.memory_mb}
    return [spread(f"{name}, {unit}", [value], **({"at_most": limits[unit]} if unit in limits else {}))
            for unit, value in values.items()]


def _exponent(sizes: Sequence[int], costs: Sequence[Cost]) -> float:
    return linear_regression([math.log(size) for size in sizes], [math.log(one.seconds) for one in costs]).slope


def recombined(file: Path, n: int) -> Iterator[tuple[str, str]]:
    """Yield texts that are made of parts of two texts with the same label, and their labels."""
    texts: dict[str, list[list[str]]] = {}
    for text, label in read_texts(file):
        texts.setdefault(label, []).append(text.split())
    draw, labels = random.Random(1), sorted(texts)
    for _ in range(n):
        label = draw.choice(labels)
        words: list[str] = []
        for length in PARTS:
            text = draw.choice(texts[label])
            start = draw.randrange(max(1, len(text) - length))
            words += text[start : start + length]
        yield " ".join(words), label


def cost(command: Sequence[object], *, threads: int, stdin: Path | None = None) -> Cost:
    """Run a command without output.

    Raises:
        subprocess.CalledProcessError: if it fails, after it has printed its message to stderr.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(HERE.parent)}
    given = list(map(str, command))
    with (stdin or Path(os.devnull)).open("rb") as file:
        done = subprocess.run([sys.executable, "-S", "-c", LAUNCH, *given], stdin=file, stdout=subprocess.PIPE,
                              env=environment, check=True)
    status, seconds, memory_kb = json.loads(done.stdout)
    if status:
        raise subprocess.CalledProcessError(status, given)
    return Cost(seconds, memory_kb / 1024)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main() -> None:
    """Print one JSON line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--peer-python", required=True, help="Python of the environment with peers/requirements.txt")
    parser.add_argument("--sizes", type=_numbers, default=SIZES, metavar="N,N", help="numbers of training texts")
    parser.add_argument("--lines", type=_numbers, default=LINES, metavar="N,N", help="numbers of lines to predict for")
    parser.add_argument("--recipe", default="auto", help="recipe of the runs")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    for figure in measure(given.datasets, peer_python=given.peer_python, threads=given.threads, sizes=given.sizes,
                          lines=given.lines, recipe=given.recipe):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
