"""Making a benchmark's runs on a Ray cluster (extra ``cluster``)."""

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
from pipeline.benchmark.execution.jobs import Event, Job, Outcome, Told
from pipeline.benchmark.execution.worker import attempt, conduct_run, limit_threads
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.benchmark.execution.worker import Conduct

MAX_RETRIES = 3  # after a process or a node has died
SECONDS_TO_ANSWER = 5.0
SECONDS_BETWEEN_LOOKS = 1.0  # at the nodes, which come and go
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "^"}  # as Ray is imported: its news are not shown


class RayExecutor:
    """A running Ray cluster: as many runs at a time as it has cores for. A run whose process or node dies is made anew.

    Every node has vecformer installed, and data and vector files in the same places as here, relative paths included. A
    node that does not see the benchmark's folder works in one for temporary files instead.

    Args:
        address: of the head, as ``HOST:PORT``; ``auto`` for the one that ``RAY_ADDRESS`` names or that runs here.
        conduct: makes a run; a function of a module that the nodes can import.
    """

    def __init__(self, address: str = "auto", conduct: Conduct = conduct_run) -> None:
        self.address, self.conduct = address, conduct

    def run(self, jobs: Sequence[Job], told: Told) -> None:
        """Make all the runs, in about this order; see :class:`~pipeline.benchmark.execution.jobs.Executor`.

        A run counts as started when it is sent.

        Raises:
            PipelineError: if Ray is not installed, or no cluster with a core to work on answers.
        """
        with _connected(self.address) as ray:
            make = ray.remote(max_retries=MAX_RETRIES)(_make)
            waiting = deque(jobs)
            sent: dict[Any, tuple[Job, int]] = {}
            while waiting or sent:
                cores = _cores(ray)
                n_free = sum(cores) - sum(n_cores for _, n_cores in sent.values())
                while waiting and cores and (n_cores := min(waiting[0].n_threads, max(cores))) <= n_free:
                    job = waiting.popleft()
                    n_free -= n_cores
                    made = make.options(num_cpus=n_cores, name=job.name).remote(self.conduct, job, Path.cwd())
                    sent[made] = job, n_cores
                    told(Event(job))
                if not sent:
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                    continue
                for ended in ray.wait(list(sent), timeout=SECONDS_BETWEEN_LOOKS)[0]:
                    job, _ = sent.pop(ended)
                    told(Event(job, outcome=_outcome(ray, ended)))


def _make(conduct: Conduct, job: Job, here: Path) -> Outcome:
    """Make a run on a node, where relative paths are to mean what they mean ``here``."""
    limit_threads(job.n_threads)
    if here.is_dir():
        os.chdir(here)
    if not job.work.parent.is_dir():
        job = replace(job, work=Path(tempfile.gettempdir()) / f"vecformer-benchmark-{os.getuid()}")
    return attempt(conduct, job, silent)


def _cores(ray: Any) -> list[int]:
    """The number of cores of each node that has any."""
    numbers = (int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    return [number for number in numbers if number]


def _outcome(ray: Any, ended: Any) -> Outcome:
    try:
        outcome: Outcome = ray.get(ended)
    except ray.exceptions.RayTaskError as error:
        return Outcome(error=f"could not begin on its node: {str(error).splitlines()[-1]}", detail=str(error))
    except ray.exceptions.RayError as error:
        return Outcome(error=f"its process was lost {MAX_RETRIES + 1} times: out of memory?", detail=str(error))
    return outcome


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster; disconnecting ends what is still under way there."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise PipelineError("running on a cluster needs Ray: pip install 'vecformer[cluster]'") from error
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    try:
        _require_answer(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        where = "here" if address == "auto" else f"at {address}"
        why = " ".join(str(error).split()).rstrip(".")
        raise PipelineError(f"no Ray cluster {where}: {why}. Start its head with `ray start --head`, further nodes "
                            "with `ray start --address=HOST:PORT`") from error
    try:
        if not _cores(ray):
            raise PipelineError("the Ray cluster has no node with a core to work on; add one with `ray start "
                                "--address=HOST:PORT`")
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Fail at once where nobody listens; Ray tries for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()
