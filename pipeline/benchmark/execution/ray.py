"""Execution on a Ray cluster (extra ``cluster``)."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embeddings.progress import silent
from embeddings.table.arguments import for_command_line, is_for_command_line
from pipeline.benchmark.execution.jobs import Event, EventHandler, Job, Outcome
from pipeline.benchmark.execution.worker import attempt, limit_threads, run_job
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.benchmark.execution.worker import JobFunction

MAX_RETRIES = 3  # after the loss of a process or node
SECONDS_TO_CONNECT = 5.0
SECONDS_BETWEEN_POLLS = 1.0  # of the cluster's nodes, which may change
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "^"}  # read when Ray is imported


class RayExecutor:
    """Executes as many jobs at a time as a running Ray cluster has cores for; repeats those whose process is lost.

    Every node must have vecformer installed, and the data and vector files at the same paths as this machine, relative
    paths included. A node without access to the benchmark's folder uses a temporary folder instead.

    Args:
        address: of the head node as ``HOST:PORT``, or ``auto`` for ``RAY_ADDRESS`` or a local cluster.
        function: executes a job; must be importable on the nodes.
    """

    def __init__(self, address: str = "auto", function: JobFunction = run_job) -> None:
        self.address, self.function = address, function

    def run(self, jobs: Sequence[Job], on_event: EventHandler) -> None:
        """Execute all jobs, approximately in order; see :class:`~pipeline.benchmark.execution.jobs.Executor`.

        The start event of a job is its submission to the cluster.

        Raises:
            PipelineError: if Ray is not installed, or no cluster with at least one core can be reached.
        """
        with _connected(self.address) as ray:
            execute = ray.remote(max_retries=MAX_RETRIES)(_execute)
            waiting = deque(jobs)
            submitted: dict[Any, tuple[Job, int]] = {}
            while waiting or submitted:
                cores = _cores(ray)
                n_free = sum(cores) - sum(n_cores for _, n_cores in submitted.values())
                while waiting and cores and (n_cores := min(waiting[0].n_threads, max(cores))) <= n_free:
                    job = waiting.popleft()
                    n_free -= n_cores
                    future = execute.options(num_cpus=n_cores, name=job.name).remote(self.function, job, Path.cwd(),
                                                                                       is_for_command_line())
                    submitted[future] = job, n_cores
                    on_event(Event(job))
                if not submitted:
                    time.sleep(SECONDS_BETWEEN_POLLS)
                    continue
                for future in ray.wait(list(submitted), timeout=SECONDS_BETWEEN_POLLS)[0]:
                    job, _ = submitted.pop(future)
                    on_event(Event(job, outcome=_outcome(ray, future)))


def _execute(
    function: JobFunction, job: Job, working_directory: Path, is_command_line: bool = False
) -> Outcome:
    """Execute a job on a node, in the driver's working directory if the node has it."""
    limit_threads(job.n_threads)
    if working_directory.is_dir():
        os.chdir(working_directory)
    if not job.work.parent.is_dir():
        job = replace(job, work=Path(tempfile.gettempdir()) / f"vecformer-benchmark-{os.getuid()}")
    with for_command_line(is_command_line):
        return attempt(function, job, silent)


def _cores(ray: Any) -> list[int]:
    """Return the number of cores of each node that has any."""
    numbers = (int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    return [number for number in numbers if number]


def _outcome(ray: Any, future: Any) -> Outcome:
    try:
        outcome: Outcome = ray.get(future)
    except ray.exceptions.RayTaskError as error:
        return Outcome(error=f"could not be started on a node: {str(error).splitlines()[-1]}", detail=str(error))
    except ray.exceptions.RayError as error:
        return Outcome(error=f"the process was lost {MAX_RETRIES + 1} times: out of memory?", detail=str(error))
    return outcome


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect to a cluster; disconnecting cancels the jobs that are still running."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise PipelineError("running on a cluster requires Ray: pip install 'vecformer[cluster]'") from error
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    try:
        _require_open_port(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        where = "on this machine" if address == "auto" else f"at {address}"
        why = " ".join(str(error).split()).rstrip(".")
        raise PipelineError(f"no Ray cluster {where}: {why}. Start its head node with `ray start --head`, further "
                            "nodes with `ray start --address=HOST:PORT`") from error
    try:
        if not _cores(ray):
            raise PipelineError("the Ray cluster has no node with a free core; add one with `ray start "
                                "--address=HOST:PORT`")
        yield ray
    finally:
        ray.shutdown()


def _require_open_port(address: str) -> None:
    """Fail at once if nothing listens at the address; Ray itself retries for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_CONNECT).close()
