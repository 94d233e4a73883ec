"""Jobs, outcomes, events and the executor protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # imports torch, which a worker must not do before it has limited its threads
    from pipeline.config import RunConfig


@dataclass(frozen=True)
class Job:
    """One run of a benchmark, as sent to a worker.

    Attributes:
        key: hash of everything that determines the result; unique.
        name: printed name, such as ``glove | frozen, 50 training examples, seed 3``.
        config: configuration before the task resolves it on the data.
        work: folder for checkpoints and shared word vectors. It may be deleted at any time and may differ between
            processes.
        n_threads: number of threads.
        baselines: also evaluate the task's simpler models.
        n_probe: number of test examples evaluated during training if there is no dev set.
        rival: name of the rival to train instead of a Transformer; "" for none.
        after_epochs: numbers of epochs after which the test set is evaluated as well.
        selects_epoch: stop training by the dev set and keep the weights of the best epoch, instead of the last one.
    """

    key: str
    name: str
    config: RunConfig
    work: Path
    n_threads: int = 1
    baselines: bool = True
    n_probe: int = 100
    rival: str = ""
    after_epochs: tuple[int, ...] = ()
    selects_epoch: bool = True


@dataclass(frozen=True)
class Outcome:
    """The result of a job.

    Attributes:
        record: JSON-serialisable record; empty if the job failed.
        predictions: JSON-serialisable predictions, one for each test example.
        error: one-line message of a failure, otherwise "".
        detail: traceback of an unexpected failure, otherwise "".
    """

    record: Mapping[str, Any] = field(default_factory=dict)
    predictions: Sequence[Mapping[str, Any]] = ()
    error: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Event:
    """Start, progress or end of a job.

    Attributes:
        job: the job.
        stage: such as ``training``; "" for the start and the end.
        fraction: completed fraction of the stage, 0 to 1.
        outcome: set at the end only.
    """

    job: Job
    stage: str = ""
    fraction: float = 0.0
    outcome: Outcome | None = None


EventHandler = Callable[[Event], None]


class Executor(Protocol):
    """Executes jobs, several at a time."""

    def run(self, jobs: Sequence[Job], on_event: EventHandler) -> None:
        """Execute all jobs, approximately in the given order.

        A job that fails, or whose process is killed, ends with a failed outcome; the others continue. On
        KeyboardInterrupt all jobs are stopped and the exception is propagated.

        Args:
            jobs: the jobs.
            on_event: called for every event, in the calling process and thread.
        """
        ...
