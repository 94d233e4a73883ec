"""How long one answer takes from nothing: `vecformer predict RUN TEXT` beside Python's own import of torch.

usage: python speed/cold_start.py DATA [--runs N] [--source SPEC]

Trains a run of one epoch on DATA, then starts both commands in turn, each in a process of its own. Each is started once
beforehand, so that its files lie in the operating system's memory. Times are of the clock, from start to end.
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

VECFORMER = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
TORCH = [sys.executable, "-c", "import torch"]
TEXT = "Who climbed the tallest xylophone of Frankfurt ?"  # a word of it or two are none of the training text's
ALONE, ANSWER = "import torch, s", "one text predicted, s"


def measure(data: Path, *, runs: int = 9, source: str = "glove") -> list[dict[str, Any]]:
    """Measure both commands, alternating.

    Args:
        data: a data set.
        runs: of each command.
        source: the word vectors of the run; `glove` has 400,000 words.

    Returns:
        A figure an entry: ``figure``, ``median``, ``least``, ``most``; then the difference of the medians as ``figure``
        and ``difference``.
    """
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        run = f"{folder}/run"
        _seconds([*VECFORMER, "run", "--data", str(data), "--source", source, "--epochs", "1", "--out", run, "-q"])
        commands = {ALONE: TORCH, ANSWER: [*VECFORMER, "predict", run, TEXT]}
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
        {"figure": "one text predicted, beyond the import, s", "difference": medians[ANSWER] - medians[ALONE]},
    ]


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print a JSON line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data set, such as DATASETS/trec6")
    parser.add_argument("--runs", type=int, default=9, help="of each command")
    parser.add_argument("--source", default="glove", help="word vectors of the run")
    given = parser.parse_args()
    for figure in measure(given.data, runs=given.runs, source=given.source):
        print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main()
