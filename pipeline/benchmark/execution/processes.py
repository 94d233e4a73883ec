"""Processes for workers, forked from a server that has imported what runs need.

The server imports torch once; each worker would need seconds of processor time to do so. Nothing but imports happens in
the server, which has no threads of torch and no locks that a fork could copy.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from embeddings.threads import limiting_variables
from pipeline.errors import PipelineError

PRELOADED = ["pipeline.benchmark.execution.one_run", "sklearn.linear_model"]  # the second for baselines
SECONDS_OF_ATTEMPTS = 5.0


def start_process(target: Callable[..., None], arguments: tuple[Any, ...], *, n_threads: int, name: str) -> BaseProcess:
    """Start a daemon process. Ctrl-C reaches the whole group of processes; SIGINT is blocked in those of the server.

    Unlike :mod:`multiprocessing`, it does not import the main module, so that scripts need no ``if __name__ ==
    "__main__"``. It has the environment variables of this process.

    Args:
        target: function to call; must be importable from a module other than the main module.
        arguments: its arguments, which must be picklable.
        n_threads: maximum number of threads of the libraries that the server imports if it is not running yet. The
            target must set its own limit (:func:`embeddings.threads.limit_threads`).
        name: name of the process.

    Raises:
        PipelineError: if the process cannot be started.
    """
    task = (dict(os.environ), target, arguments)
    last_attempt = time.monotonic() + SECONDS_OF_ATTEMPTS
    while True:
        try:
            return _started(task, n_threads, name)
        except (EOFError, OSError) as error:  # of a killed server, which is replaced once the system reports its end
            if time.monotonic() > last_attempt:
                raise PipelineError(f"cannot start a process ({str(error) or 'its server ended'}); close other "
                                    "programs if memory is short, and run it again") from error
        time.sleep(0.05)


def _started(task: tuple[Any, ...], n_threads: int, name: str) -> BaseProcess:
    has_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if has_server else "spawn")
    resource_tracker.ensure_running()  # unblocks SIGINT, if the server is the first to need it
    if has_server:
        with _interrupts_blocked():
            start_server(n_threads)
    process: BaseProcess = context.Process(  # type: ignore[attr-defined]
        target=_with_environment, args=task, name=name, daemon=True)
    with _without_main_module():
        process.start()
    return process


def start_server(n_threads: int) -> None:
    """Start the server unless it runs; its libraries have at most this number of threads."""
    from multiprocessing import forkserver

    forkserver.set_forkserver_preload(PRELOADED)
    before, limits = dict(os.environ), limiting_variables(n_threads)
    os.environ.update(limits)
    try:
        forkserver.ensure_running()
    finally:
        for name in limits:
            del os.environ[name]
            if name in before:
                os.environ[name] = before[name]


def _with_environment(environment: Mapping[str, str], target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT; the server inherits the mask from the start of its interpreter on, and its workers inherit it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Hide the main module, which a new process would import."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
