"""The thread that computes the answers of one run: a bounded queue, from which predictions are taken in batches.

Predictions of one run must not overlap, because :meth:`TrainedRun.prepare` replaces the vectors of unseen words.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import PipelineError
from pipeline.runs.trained import TrainedRun
from pipeline.serving.limits import Limits
from pipeline.serving.metrics import Metrics
from pipeline.serving.refusals import INTERNAL, RefusedError
from pipeline.tasks.base import Prediction

log = logging.getLogger("vecformer")

MAX_BATCH = 256     # texts computed together
MAX_RETRY = 30      # seconds of Retry-After


@dataclass
class Job:
    """A request in the queue.

    Attributes:
        examples: examples to predict for; None for another computation.
        compute: the computation, if it is not a prediction.
        future: its result.
    """

    examples: Sequence[Any] | None = None
    compute: Callable[[], Any] | None = None
    future: Future[Any] = field(default_factory=Future)


class Worker:
    """Computes the answers of one run in a thread of its own.

    Args:
        name: name of the run.
        trained: the run.
        limits: the size of the queue.
        metrics: receives the sizes of queue and batches.
    """

    def __init__(self, name: str, trained: TrainedRun, limits: Limits, metrics: Metrics) -> None:
        self.name, self.trained, self.limits = name, trained, limits
        self.batches = metrics.batches.labels(name)
        self.texts = metrics.texts.labels(name)
        metrics.waiting.labels(name).set_function(lambda: len(self.jobs))
        self.jobs: deque[Job] = deque()
        self.changed = threading.Condition()
        self.stopping = False
        self.seconds_each = 0.0  # moving average of the time between answers
        self.thread = threading.Thread(target=self._work, name=f"run {name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread after the current computation; requests in the queue are refused."""
        with self.changed:
            self.stopping = True
            self.changed.notify()
        self.thread.join(timeout)

    @property
    def is_alive(self) -> bool:
        """Whether the thread computes answers."""
        return self.thread.is_alive()

    def predict(self, examples: Sequence[Any]) -> Future[list[Prediction]]:
        """Queue examples to predict for.

        Raises:
            RefusedError: if the queue is full.
        """
        return self._put(Job(examples=examples))

    def submit(self, compute: Callable[[], Any]) -> Future[Any]:
        """Queue another computation with the run.

        Raises:
            RefusedError: if the queue is full.
        """
        return self._put(Job(compute=compute))

    def _put(self, job: Job) -> Future[Any]:
        with self.changed:
            if self.stopping:
                raise RefusedError(503, "the server is shutting down", retry_after=MAX_RETRY)
            if len(self.jobs) >= self.limits.max_waiting:
                wait = min(MAX_RETRY, 1 + int(self.seconds_each * len(self.jobs)))
                raise RefusedError(503, f"the queue of the run is full; try again in {wait} s", retry_after=wait)
            self.jobs.append(job)
            self.changed.notify()
        return job.future

    def _work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.jobs or self.stopping)
                if self.stopping:
                    break
                taken = self._take()
            began = time.perf_counter()
            running = [job for job in taken if job.future.set_running_or_notify_cancel()]
            if running:
                self._answer(running)
                each = (time.perf_counter() - began) / len(running)
                self.seconds_each += 0.1 * (each - self.seconds_each)
        for job in self.jobs:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(RefusedError(503, "the server is shutting down", retry_after=MAX_RETRY))

    def _take(self) -> list[Job]:
        """Remove the first request from the queue, with the predictions after it that fit into its batch."""
        taken = [self.jobs.popleft()]
        if taken[0].examples is None or self.trained.task.reader.in_order:  # lines of one text depend on each other
            return taken
        n = len(taken[0].examples)
        while self.jobs and (more := self.jobs[0].examples) is not None and n + len(more) <= MAX_BATCH:
            n += len(more)
            taken.append(self.jobs.popleft())
        return taken

    def _answer(self, jobs: Sequence[Job]) -> None:
        """Compute the results of requests; one that fails does not affect the others of its batch."""
        try:
            if (compute := jobs[0].compute) is not None:
                jobs[0].future.set_result(compute())
                return
            examples = [example for job in jobs for example in job.examples or ()]
            predictions = iter(self.trained.predict_for(examples))
            self.batches.observe(len(examples))
            self.texts.inc(len(examples))
            for job in jobs:
                job.future.set_result([next(predictions) for _ in job.examples or ()])
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._answer([job])
                return
            if not isinstance(error, PipelineError | RefusedError):
                log.error("run %s: a request failed", self.name, exc_info=error)
                error = RefusedError(500, INTERNAL)
            jobs[0].future.set_exception(error)
