"""Time of a cold prediction: `vecformer predict RUN TEXT` compared with `import torch`.

usage: python speed/cold_start.py DATA [--runs N] [--source SPEC]

Trains a run for one epoch on DATA, then alternates between the two commands, each in a separate process, after one
warm-up run that brings their files into the page cache. Times are wall-clock times of the whole process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import VECFORMER

TORCH = [sys.executable, "-c", "import torch"]
TEXT = "Who climbed the tallest xylophone of Frankfurt ?"  # includes words that are not in the training texts
IMPORT, PREDICT = "import torch, s", "predict one text, s"
DIFFERENCE = "predict one text, excluding import torch, s"


def measure(data: Path, *, runs: int = 9, source: str = "glove") -> list[dict[str, Any]]:
    """Measure both commands alternately.

    Args:
        data: a data set.
        runs: number of runs of each command.
        source: word vectors of the run; `glove` has 400,000 words.

    Returns:
        A figure for each command, in seconds, and the difference of the medians.
    """
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        run = f"{folder}/run"
        _seconds([*VECFORMER, "run", "--data", str(data), "--recipe", "plain", "--source", source, "--epochs", "1",
                  "--out", run, "-q"])
        commands = {IMPORT: TORCH, PREDICT: [*VECFORMER, "predict", run, TEXT]}
        for command in commands.values():
            _seconds(command)
        found: dict[str, list[float]] = {figure: [] for figure in commands}
        for _ in range(runs):
            for figure, command in commands.items():
                found[figure].append(_seconds(command))
    medians = {figure: statistics.median(seconds) for figure, seconds in found.items()}
    return [
        *({"figure": figure, "median": medians[figure], "least": min(seconds), "most": max(seconds)}
          for figure, seconds in found.items()),
        {"figure": DIFFERENCE, "difference": medians[PREDICT] - medians[IMPORT]},
    ]


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print one JSON line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data set, such as DATASETS/trec6")
    parser.add_argument("--runs", type=int, default=9, help="runs of each command (default: 9)")
    parser.add_argument("--source", default="glove", help="word vectors of the run (default: glove)")
    given = parser.parse_args()
    for figure in measure(given.data, runs=given.runs, source=given.source):
        print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main()
