"""A training that waits for its turn before each few steps, for `measuring.in_turn`.

usage: python speed/train_in_turns.py STEPS KEY=VALUE [KEY=VALUE ...]

Does what `vecformer run` does with these keys of the configuration. For each line of its input it makes STEPS
optimizer steps and prints the seconds that they took; the making of batches and the evaluations between epochs do not
count. When the input ends it stops, and leaves nothing behind.
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

ON_AND_ON = (("training.epochs", 1_000_000), ("training.patience", 0))


class InTurn(Clock):
    """Lets a training wait for its turn, and tells how long each took: to be the ``clock`` and ``progress`` of a run.

    Args:
        steps: of a turn.
    """

    def __init__(self, steps: int) -> None:
        super().__init__(running=False)
        self._steps, self._done, self._start = steps, 0, 0.0
        self._has_begun = False

    def __call__(self, part: str) -> AbstractContextManager[object]:
        """Begin a turn behind each making of batches: one that an epoch's end cut short is made anew."""
        return self._before_epoch() if part == "batches" else nullcontext()

    @contextmanager
    def _before_epoch(self) -> Iterator[None]:
        yield
        if not self._has_begun:
            self._wait()
        elif self._done < self._steps:
            raise SystemExit(f"an epoch has {self._done} steps; a turn must not have more")
        self._has_begun = True
        self._done, self._start = 0, time.perf_counter()

    def progress(self, what: str, _share: float) -> None:
        """Count a step; report the turn if it was its last, and wait for the next."""
        if what != "training":
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
    """Train in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", type=int, help="of a turn; an epoch must not have fewer")
    parser.add_argument("settings", type=parse_assignment, nargs="+", metavar="KEY=VALUE")
    given = parser.parse_args()
    turns = InTurn(given.steps)
    logging.getLogger("vecformer").setLevel(logging.ERROR)  # how to go on with it is of no use: the folder goes
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        run(resolve(None, [*given.settings, *ON_AND_ON]), Path(folder) / "run", progress=turns.progress, clock=turns)


if __name__ == "__main__":
    main()
