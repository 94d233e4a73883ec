"""How long threads wait actively for one another: for milliseconds on an idle machine, briefly on a busy one.

A thread of GNU OpenMP that waits for others stays active for some milliseconds before it sleeps. On an idle machine
this is the fastest way to wait. Beside other processes it takes the core from the very thread that it waits for, and
two threads are slower than one. The library waits briefly while it has more threads than there are cores
(``gomp_throttled_spin_count_var`` in ``libgomp/env.c``); :func:`brief_on_a_busy_machine` gives it such threads, which
sleep, as long as other processes compute.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from transformer.kernels import native

INTERVAL = 0.25          # seconds between two looks at the machine
TAKEN, FREE = 0.3, 0.15  # cores missing for our threads from which the machine is busy, and below which it is not
STAT = Path("/proc/stat")

_watching = threading.Lock()


@contextmanager
def brief_on_a_busy_machine() -> Iterator[None]:
    """Let threads wait briefly for one another while other processes compute.

    The machine is watched in a thread as long as the block runs. Nothing changes with one thread, on systems other than
    Linux, and if PyTorch has another OpenMP library; a block inside a block has no effect.
    """
    n_threads = torch.get_num_threads()
    if n_threads < 2 or native.omp_parallel() is None or not STAT.exists() or not _watching.acquire(blocking=False):
        yield
        return
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(n_threads, ended, Sleepers(n_threads)), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()
        _watching.release()


class Sleepers:
    """Threads of OpenMP that sleep, one more than there are cores together with those that compute.

    Args:
        n_threads: number of threads that compute.
    """

    def __init__(self, n_threads: int) -> None:
        self._n = max(2, len(os.sched_getaffinity(0)) - n_threads + 2)
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def exist(self) -> bool:
        """Whether the library has these threads."""
        return self._thread is not None

    def start(self) -> None:
        """Start them."""
        self._end.clear()
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End them."""
        if self._thread is not None:
            self._end.set()
            self._thread.join()
            self._thread = None

    def _hold(self) -> None:
        """Start a team by a parallel region that does nothing; its threads sleep until this thread ends."""
        address = native.omp_parallel()
        assert address is not None
        nothing = ctypes.CDLL(None).free  # of no address
        start = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)(address)
        start(ctypes.cast(nothing, ctypes.c_void_p), None, self._n, 0)
        self._end.wait()


def _watch(n_threads: int, ended: threading.Event, sleepers: Sleepers) -> None:
    """Start and stop the sleepers until the event."""
    cores = os.sched_getaffinity(0)
    taken = taken_by_others(cores)
    while not ended.wait(INTERVAL):
        missing = taken() - (len(cores) - n_threads)
        if missing >= TAKEN and not sleepers.exist:
            sleepers.start()
        elif missing < FREE:
            sleepers.stop()
    sleepers.stop()


def taken_by_others(cores: set[int], stat: Path = STAT) -> Callable[[], float]:
    """Return a function that returns how many of these cores other processes have used since its last call.

    Args:
        cores: numbers of the cores.
        stat: file with the times of the cores, as the kernel writes it.
    """
    def now() -> tuple[float, float, float]:
        times = os.times()
        return busy_seconds(cores, stat.read_text(encoding="ascii")), times.user + times.system, times.elapsed

    before = now()

    def taken() -> float:
        nonlocal before
        after = now()
        busy, ours, elapsed = (new - old for new, old in zip(after, before, strict=True))
        before = after
        return max(0.0, busy - ours) / elapsed if elapsed > 0 else 0.0

    return taken


def busy_seconds(cores: set[int], stat: str) -> float:
    """Return the seconds for which cores have computed since the system was started.

    Args:
        cores: numbers of the cores.
        stat: content of ``/proc/stat`` (``man 5 proc_stat``).
    """
    ticks = 0
    for line in stat.splitlines():
        name, *numbers = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _idle, _iowait, irq, softirq = map(int, numbers[:7])
            ticks += user + nice + system + irq + softirq
    return ticks / os.sysconf("SC_CLK_TCK")
