"""Making a benchmark's runs in processes on this machine."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from pipeline.benchmark.execution.jobs import Event, Job, Outcome, Told
from pipeline.benchmark.execution.worker import conduct_run, output_of, serve

if TYPE_CHECKING:
    from pipeline.benchmark.execution.worker import Conduct

SECONDS_TO_STOP = 1.0
MAX_OUTPUT = 4_000  # characters of what a run printed last that are kept if its process dies


class LocalExecutor:
    """Several processes, each making one run at a time.

    Each process has a pipe of its own and shares no lock with the others, so that one can be killed at any moment and
    only its run is lost.

    Args:
        n_jobs: runs at a time.
        conduct: makes a run; a function of a module that other processes can import.
    """

    def __init__(self, n_jobs: int, conduct: Conduct = conduct_run) -> None:
        self.n_jobs, self.conduct = n_jobs, conduct

    def run(self, jobs: Sequence[Job], told: Told) -> None:
        """Make all the runs, in this order; see :class:`~pipeline.benchmark.execution.jobs.Executor`."""
        waiting = deque(jobs)
        idle: list[_Worker] = []
        busy: list[_Worker] = []
        try:
            while waiting or busy:
                while waiting and len(busy) < self.n_jobs:
                    worker = idle.pop() if idle else _Worker(waiting[0].n_threads)
                    if worker.process.is_alive():
                        busy.append(worker)
                        told(worker.begin(waiting.popleft(), self.conduct))
                ready = wait([worker.pipe for worker in busy])
                for worker in [worker for worker in busy if worker.pipe in ready]:
                    event = worker.hear()
                    if event.outcome is not None:
                        busy.remove(worker)
                        idle.append(worker)
                    told(event)
        finally:
            _stop((*idle, *busy))


class _Worker:
    """A process that makes runs, and this end of the pipe to it."""

    def __init__(self, n_threads: int) -> None:
        spawned = multiprocessing.get_context("spawn")  # a fork would take over the threads and locks of torch
        self.pipe, theirs = spawned.Pipe()
        self.process = spawned.Process(target=serve, args=(theirs, n_threads), name="vecformer run", daemon=True)
        with _interrupts_held():
            self.process.start()
        theirs.close()

    def begin(self, job: Job, conduct: Conduct) -> Event:
        """Send a job; if the process dies before it has it, :meth:`hear` says so."""
        self.job = job
        with suppress(OSError):
            self.pipe.send((conduct, job))
        return Event(job)

    def hear(self) -> Event:
        """What comes next of the job, or that the process has died with it."""
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            return Event(self.job, outcome=self._died())
        return Event(self.job, outcome=message) if isinstance(message, Outcome) else Event(self.job, *message)

    def _died(self) -> Outcome:
        self.process.join()
        code = self.process.exitcode or 0
        how = f"was killed (signal {-code})" if code < 0 else f"ended (exit code {code})"
        if -code == signal.SIGKILL:
            how += ": out of memory? Fewer runs at a time need less; see --jobs"
        return Outcome(error=f"its process {how}", detail=_last_words(self.job))


def _last_words(job: Job) -> str:
    try:
        said = output_of(job).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    output_of(job).unlink(missing_ok=True)
    return said[-MAX_OUTPUT:]


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Put Ctrl-C off; a process that is started here never gets it, not even while Python is still starting in it."""
    resource_tracker.ensure_running()  # it would be started with the first process, and let interrupts in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(workers: Sequence[_Worker]) -> None:
    """End processes, whatever they are at: politely, so that temporary files go, but not for long."""
    for worker in workers:
        worker.pipe.close()
        worker.process.terminate()
    end = time.monotonic() + SECONDS_TO_STOP
    for worker in workers:
        worker.process.join(max(0.0, end - time.monotonic()))
        worker.process.kill()
        worker.process.join()
        worker.process.close()
