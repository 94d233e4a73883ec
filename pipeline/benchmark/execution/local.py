"""Execution in worker processes on this machine."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from embeddings.table.arguments import argument, is_for_command_line
from pipeline.benchmark.execution.jobs import Event, EventHandler, Job, Outcome
from pipeline.benchmark.execution.processes import start_process
from pipeline.benchmark.execution.worker import output_of, run_job, serve

if TYPE_CHECKING:
    from pipeline.benchmark.execution.worker import JobFunction

SECONDS_TO_STOP = 1.0
MAX_OUTPUT = 4_000  # characters of a killed worker's output that are kept


class LocalExecutor:
    """Pool of worker processes with one job each.

    Every worker has its own pipe and shares no lock, so that killing one at any moment loses its own job only.

    Args:
        n_jobs: number of concurrent jobs.
        function: executes a job; must be importable in other processes.
    """

    def __init__(self, n_jobs: int, function: JobFunction = run_job) -> None:
        self.n_jobs, self.function = n_jobs, function

    def run(self, jobs: Sequence[Job], on_event: EventHandler) -> None:
        """Execute all jobs in order; see :class:`~pipeline.benchmark.execution.jobs.Executor`."""
        waiting = deque(jobs)
        idle: list[_Worker] = []
        busy: list[_Worker] = []
        try:
            while waiting or busy:
                while waiting and len(busy) < self.n_jobs:
                    worker = idle.pop() if idle else _Worker(waiting[0].n_threads)
                    if worker.process.is_alive():
                        busy.append(worker)
                        on_event(worker.submit(waiting.popleft(), self.function))
                ready = wait([worker.pipe for worker in busy])
                for worker in [worker for worker in busy if worker.pipe in ready]:
                    event = worker.receive()
                    if event.outcome is not None:
                        busy.remove(worker)
                        idle.append(worker)
                    on_event(event)
        finally:
            _stop((*idle, *busy))


class _Worker:
    """A worker process and this process's end of the pipe."""

    def __init__(self, n_threads: int) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = start_process(serve, (theirs, n_threads, is_for_command_line()), n_threads=n_threads,
                                     name="vecformer run")
        theirs.close()

    def submit(self, job: Job, function: JobFunction) -> Event:
        """Send a job; if the process is dead, :meth:`receive` returns a failed outcome."""
        self.job = job
        with suppress(OSError):
            self.pipe.send((function, job))
        return Event(job)

    def receive(self) -> Event:
        """Return the job's next event; the death of the process is a failed outcome."""
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
            how += ": out of memory? Try fewer concurrent runs with " + argument("jobs")
        return Outcome(error=f"the process {how}", detail=_last_output(self.job))


def _last_output(job: Job) -> str:
    try:
        output = output_of(job).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    output_of(job).unlink(missing_ok=True)
    return output[-MAX_OUTPUT:]


def _stop(workers: Sequence[_Worker]) -> None:
    """Terminate worker processes; kill those that do not end within :data:`SECONDS_TO_STOP`."""
    for worker in workers:
        worker.pipe.close()
        worker.process.terminate()
    deadline = time.monotonic() + SECONDS_TO_STOP
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        worker.process.kill()
        worker.process.join()
        worker.process.close()
