"""Execution on a Ray cluster (extra ``cluster``)."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embeddings.progress import silent
from embeddings.table.arguments import for_command_line, is_for_command_line
from embeddings.table.listing import listed
from embeddings.threads import limit_threads
from pipeline.benchmark.execution.jobs import Event, EventHandler, Job, Outcome
from pipeline.benchmark.execution.packed_files import pack, unpacked
from pipeline.benchmark.execution.worker import attempt, run_job
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.benchmark.execution.worker import JobFunction

MAX_RETRIES = 3  # after the loss of a process or node
SECONDS_TO_CONNECT = 5.0
SECONDS_BETWEEN_POLLS = 1.0  # of the cluster's nodes, which may change
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "^"}  # read when Ray is imported


class RayExecutor:
    """Executes as many jobs at a time as a running Ray cluster has cores for; repeats those whose process is lost.

    Every node must have vecformer installed. Files are read from storage that the nodes share, or else sent: once to
    each node that lacks one of them, if their paths are relative. A node without access to the benchmark's folder uses
    a temporary folder instead.

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
        from pipeline.benchmark.inputs import input_paths  # imports torch, which a node does after limiting its threads

        with _connected(self.address) as ray:
            driver = _Driver(ray, self.function, sorted({path for job in jobs for path in input_paths(job.config)}))
            waiting = deque(jobs)
            while waiting or driver.submitted:
                cores = _cores(ray)
                n_free = sum(cores) - driver.n_cores
                while waiting and cores and (n_cores := min(waiting[0].n_threads, max(cores))) <= n_free:
                    n_free -= n_cores
                    driver.submit(waiting[0], n_cores)
                    on_event(Event(waiting.popleft()))
                if not driver.submitted:
                    time.sleep(SECONDS_BETWEEN_POLLS)
                for job, outcome in driver.finished():
                    on_event(Event(job, outcome=outcome))


class _Driver:
    """The jobs that are on the cluster, and the files that are sent to nodes without them.

    Args:
        ray: the module, connected.
        function: executes a job.
        inputs: the files and folders that the jobs read.
    """

    def __init__(self, ray: Any, function: JobFunction, inputs: Sequence[Path]) -> None:
        self.ray, self.function, self.inputs = ray, function, inputs
        self.submitted: dict[Any, tuple[Job, int]] = {}
        self._execute = ray.remote(max_retries=MAX_RETRIES)(_execute)
        self._packed: list[Any] = []  # a reference; Ray copies the object to each node that asks for it, once

    @property
    def n_cores(self) -> int:
        """The cores that the submitted jobs use."""
        return sum(n_cores for _, n_cores in self.submitted.values())

    def submit(self, job: Job, n_cores: int) -> None:
        """Submit a job that uses some cores."""
        sent = Inputs(Path.cwd(), self.inputs, self._packed)
        future = self._execute.options(num_cpus=n_cores, name=job.name).remote(self.function, job, sent,
                                                                                is_for_command_line())
        self.submitted[future] = job, n_cores

    def finished(self) -> Iterator[tuple[Job, Outcome]]:
        """Yield the jobs that have ended; those whose node lacks files are submitted again, together with the files."""
        futures = list(self.submitted)
        for future in self.ray.wait(futures, timeout=SECONDS_BETWEEN_POLLS)[0] if futures else ():
            job, n_cores = self.submitted.pop(future)
            outcome = _outcome(self.ray, future)
            if outcome is not None:
                yield job, outcome
                continue
            if not self._packed:
                self._packed = [self.ray.put(pack(path for path in self.inputs if not path.is_absolute()))]
            self.submit(job, n_cores)


@dataclass(frozen=True)
class Inputs:
    """The files that jobs read.

    Attributes:
        working_directory: of the driver; relative paths begin there.
        paths: the files and folders.
        packed: reference to those with relative paths, packed; empty if they are not sent.
    """

    working_directory: Path
    paths: Sequence[Path]
    packed: Sequence[Any]


def _execute(function: JobFunction, job: Job, inputs: Inputs, is_command_line: bool) -> Outcome | None:
    """Execute a job on a node, in the driver's working directory if the node has it; None if the files must be sent."""
    limit_threads(job.n_threads)
    here = inputs.working_directory
    missing = [path for path in inputs.paths if not (here / path).exists()]
    if elsewhere := [str(path) for path in missing if path.is_absolute()]:
        return Outcome(error=f"{listed(elsewhere)}: not on the node {socket.gethostname()}; name it by a path "
                             "relative to the working directory, so that it is sent, or put it on storage that the "
                             "nodes share")
    if missing and not inputs.packed:
        return None
    if not job.work.parent.is_dir():
        job = replace(job, work=Path(tempfile.gettempdir()) / f"vecformer-benchmark-{os.getuid()}")
    with ExitStack() as stack:
        stack.enter_context(for_command_line(is_command_line))
        if missing:
            import ray

            stack.enter_context(unpacked(ray.get(inputs.packed[0]), here))
        elif here.is_dir():
            os.chdir(here)
        return attempt(function, job, silent)


def _cores(ray: Any) -> list[int]:
    """Return the number of cores of each node that has any."""
    numbers = (int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    return [number for number in numbers if number]


def _outcome(ray: Any, future: Any) -> Outcome | None:
    try:
        outcome: Outcome | None = ray.get(future)
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
