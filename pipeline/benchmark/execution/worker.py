"""What the process that makes runs for a benchmark does: keep to its share of the cores, and answer with an outcome."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what brings torch along is imported after its threads are set
    from embeddings.progress import Progress
    from pipeline.benchmark.execution.jobs import Job, Outcome

    Conduct = Callable[[Job, Progress], Outcome]

SECONDS_BETWEEN_TOLD = 0.2
COUNT_THREADS = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")  # read once: by torch and linear algebra, and by tokenizers
STDOUT, STDERR = 1, 2


def conduct_run(job: Job, progress: Progress) -> Outcome:
    """:func:`pipeline.benchmark.execution.one_run.conduct`, imported when it is called."""
    from pipeline.benchmark.execution.one_run import conduct

    return conduct(job, progress)


def attempt(conduct: Conduct, job: Job, progress: Progress) -> Outcome:
    """Make a run; one that fails has an outcome too, with its traceback unless the message says what to mend."""
    try:
        return conduct(job, progress)
    except Exception as error:
        from embeddings.errors import EmbeddingError
        from pipeline.benchmark.execution.jobs import Outcome
        from pipeline.errors import PipelineError
        from transformer.errors import TransformerError

        said = " ".join(str(error).split())
        if isinstance(error, PipelineError | EmbeddingError | TransformerError):
            return Outcome(error=said)
        return Outcome(error=f"{type(error).__name__}: {said}".removesuffix(": "), detail=traceback.format_exc())


def limit_threads(n_threads: int) -> None:
    """Keep libraries that are not imported yet to this many threads."""
    os.environ.update(dict.fromkeys(COUNT_THREADS, str(n_threads)))


def output_of(job: Job) -> Path:
    """The file that holds what a run under way prints: on the screen it would run into the view of all runs."""
    return job.work / f"{job.key}.output"


def serve(pipe: Connection, n_threads: int) -> None:
    """Make the runs that come through a pipe, one after the other, until it closes or the other end's process is gone.

    Args:
        pipe: brings what to call and the job for it; takes ``(what, share)`` while that is under way, then the outcome.
        n_threads: what the libraries are kept to.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, but the main process decides
    signal.signal(signal.SIGTERM, _unwind)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_threads(n_threads)
    while True:
        try:
            conduct, job = pipe.recv()
        except EOFError:
            return
        with _printing_to(output_of(job)):
            outcome = attempt(conduct, job, _seldom(pipe))
        pipe.send(outcome)


def _unwind(_signal: int, _frame: Any) -> None:
    raise SystemExit(128 + signal.SIGTERM)  # so that temporary files are removed


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for stream in (STDOUT, STDERR):  # not sys.stdout: what compiled libraries and a dying interpreter say, too
            os.dup2(file.fileno(), stream)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _seldom(pipe: Connection) -> Progress:
    """Progress that goes through a pipe: whatever begins or ends, and now and then what lies between."""
    last, when = "", 0.0

    def tell(what: str, share: float) -> None:
        nonlocal last, when
        now = time.monotonic()
        if what != last or share >= 1 or now - when >= SECONDS_BETWEEN_TOLD:
            last, when = what, now
            pipe.send((what, float(share)))

    return tell
