"""One run of a benchmark as something that can be sent to another process, and what is heard of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a process that gets a job sets its threads before torch comes along with this
    from pipeline.config import RunConfig


@dataclass(frozen=True)
class Job:
    """A run to be made.

    Attributes:
        key: a hash of all that decides its result; no other run has it.
        name: for people: ``glove | frozen, 50 training examples, seed 3``.
        config: not resolved; the task adds the labels and the like.
        work: folder for what a stopped run goes on from and for word vectors that runs share. It may be given up at any
            time, and need not be the same folder in every process.
        n_threads: its share of the cores.
        baselines: measure the task's simpler models beside it.
        n_probe: test examples that are measured on while it trains, where there is no dev set.
    """

    key: str
    name: str
    config: RunConfig
    work: Path
    n_threads: int = 1
    baselines: bool = True
    n_probe: int = 100


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        record: what is kept of it, as JSON has it; empty if it failed.
        predictions: an entry a test example, likewise.
        error: why it failed, in one line; "" if it did not.
        detail: the traceback, if a failure was none that the user can mend.
    """

    record: Mapping[str, Any] = field(default_factory=dict)
    predictions: Sequence[Mapping[str, Any]] = ()
    error: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: it ``started``, has come to a ``share`` of ``what``, or has ended.

    Attributes:
        job: which one.
        what: such as ``training``; "" for a start or an end.
        share: of what, 0 to 1.
        outcome: set when it has ended.
    """

    job: Job
    what: str = ""
    share: float = 0.0
    outcome: Outcome | None = None


Told = Callable[[Event], None]


class Executor(Protocol):
    """Makes runs, several at a time."""

    def run(self, jobs: Sequence[Job], told: Told) -> None:
        """Make all the runs, in about this order.

        A run that fails, even by its process being killed, ends with an outcome that says so; the others go on. An
        interrupt (KeyboardInterrupt) stops every run at once and goes on up.

        Args:
            jobs: the runs.
            told: is told, in the process and the thread that called this, of everything that happens.
        """
        ...
