"""The worker process: limits its threads, executes jobs and returns their outcomes."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embeddings.table.arguments import for_command_line
from embeddings.threads import limit_threads

if TYPE_CHECKING:  # imports torch, which should not happen before the threads are limited
    from embeddings.progress import Progress
    from pipeline.benchmark.execution.jobs import Job, Outcome

    JobFunction = Callable[[Job, Progress], Outcome]

SECONDS_BETWEEN_UPDATES = 0.2
STDOUT, STDERR = 1, 2


def run_job(job: Job, progress: Progress) -> Outcome:
    """Execute a run or a rival, importing the function for it on demand."""
    if job.rival:
        from pipeline.benchmark.execution.one_rival import run_rival

        return run_rival(job, progress)
    from pipeline.benchmark.execution import one_run

    return one_run.run_job(job, progress)


def attempt(function: JobFunction, job: Job, progress: Progress) -> Outcome:
    """Execute a job and turn an exception into a failed outcome, with a traceback if it is unexpected."""
    try:
        return function(job, progress)
    except Exception as error:
        from embeddings.errors import EmbeddingError
        from pipeline.benchmark.execution.jobs import Outcome
        from pipeline.errors import PipelineError
        from transformer.errors import TransformerError

        message = " ".join(str(error).split())
        if isinstance(error, PipelineError | EmbeddingError | TransformerError):
            return Outcome(error=message)
        return Outcome(error=f"{type(error).__name__}: {message}".removesuffix(": "), detail=traceback.format_exc())


def output_of(job: Job) -> Path:
    """Return the file to which the output of a running job is redirected, so that it does not disturb the live view."""
    return job.work / f"{job.key}.output"


def serve(pipe: Connection, n_threads: int, is_for_command_line: bool = False) -> None:
    """Execute the jobs received through a pipe until it is closed or the parent process ends.

    Args:
        pipe: receives pairs of function and job; sends ``(stage, fraction)`` during a job, then its outcome.
        n_threads: maximum number of threads of the libraries.
        is_for_command_line: whether messages name options of the command line.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent handles it
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_threads(n_threads)
    while True:
        try:
            function, job = pipe.recv()
        except EOFError:
            return
        with for_command_line(is_for_command_line):
            pipe.send(attempt(partial(_redirected, function), job, _throttled_progress(pipe)))


def _redirected(function: JobFunction, job: Job, progress: Progress) -> Outcome:
    with _redirect_output(output_of(job)):
        return function(job, progress)


def _exit(_signal: int, _frame: Any) -> None:
    raise SystemExit(128 + signal.SIGTERM)  # unwinds the stack, so that temporary files are removed


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _redirect_output(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for stream in (STDOUT, STDERR):  # file descriptors: includes the output of compiled libraries
            os.dup2(file.fileno(), stream)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _throttled_progress(pipe: Connection) -> Progress:
    """Return a progress callback that sends the start and end of each stage, and updates at limited frequency."""
    last, sent = "", 0.0

    def progress(stage: str, fraction: float) -> None:
        nonlocal last, sent
        now = time.monotonic()
        if stage != last or fraction >= 1 or now - sent >= SECONDS_BETWEEN_UPDATES:
            last, sent = stage, now
            pipe.send((stage, float(fraction)))

    return progress
