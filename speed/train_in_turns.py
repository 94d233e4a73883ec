"""A training that pauses after every few steps, for `measuring.in_turn`.

usage: python speed/train_in_turns.py STEPS KEY=VALUE [KEY=VALUE ...]

Runs the equivalent of `vecformer run` with these configuration keys. For each line read from standard input it takes
STEPS optimizer steps and prints their seconds, without the preparation of batches and the evaluation between epochs.
It stops at the end of the input and deletes its files.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from pipeline.config import parse_assignment, resolve
from pipeline.runs.chain import run
from pipeline.telemetry.profiling import Clock

ENDLESS = (("training.epochs", 1_000_000), ("training.patience", 0))


class TurnClock(Clock):
    """Pauses a training between turns and prints the time of each; passed as the ``clock`` and ``progress`` of a run.

    Args:
        steps: optimizer steps per turn.
    """

    def __init__(self, steps: int) -> None:
        super().__init__(running=False)
        self._steps, self._done, self._start = steps, 0, 0.0
        self._started = False

    def __call__(self, part: str) -> AbstractContextManager[object]:
        """Start a turn at the start of an epoch, and leave out the preparation of batches.

        A turn interrupted by the end of an epoch is repeated.
        """
        if part == "shuffling":
            return self._before_epoch()
        return self._left_out() if part == "batches" else nullcontext()

    @contextmanager
    def _left_out(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    @contextmanager
    def _before_epoch(self) -> Iterator[None]:
        yield
        if not self._started:
            self._wait()
        elif self._done < self._steps:
            raise SystemExit(f"an epoch has only {self._done} steps, fewer than a turn; use fewer STEPS or more data")
        self._started = True
        self._done, self._start = 0, time.perf_counter()

    def progress(self, stage: str, _fraction: float) -> None:
        """Count a step; at the end of a turn, print its time and wait for the next."""
        if stage != "training":
            return
        self._done += 1
        if self._done % self._steps == 0:
            print(time.perf_counter() - self._start, flush=True)
            self._wait()

    def _wait(self) -> None:
        if not sys.stdin.readline():
            raise SystemExit
        self._start = time.perf_counter()


def main() -> None:
    """Train in turns until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", type=int, help="optimizer steps per turn; at most one epoch")
    parser.add_argument("settings", type=parse_assignment, nargs="+", metavar="KEY=VALUE")
    given = parser.parse_args()
    turns = TurnClock(given.steps)
    logging.getLogger("vecformer").setLevel(logging.ERROR)  # hides the hint to resume: the folder is deleted
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        config = resolve(None, [("recipe", "plain"), *given.settings, *ENDLESS])
        run(config, Path(folder) / "run", progress=turns.progress, clock=turns)


if __name__ == "__main__":
    main()
