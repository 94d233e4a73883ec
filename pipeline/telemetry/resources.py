"""Wall-clock time and peak memory of a block of code."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MAXRSS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes on macOS, in KiB on Linux
CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
RESET_PEAK = "5"  # proc(5): resets the peak (VmHWM) to the current resident set


@dataclass
class Cost:
    """Time and memory of a block.

    Attributes:
        seconds: wall-clock time.
        peak_memory_mb: peak resident memory of the process in MiB, during the block on Linux and since the start of the
            process elsewhere.
    """

    seconds: float = 0.0
    peak_memory_mb: float = 0.0


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure the block; the yielded cost is filled in at its end."""
    cost = Cost()
    _reset_peak()
    start = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - start
        cost.peak_memory_mb = peak_memory_mb()


def peak_memory_mb() -> float:
    """Return the peak resident memory in MiB since the latest :func:`measured`, else since the start of the process."""
    if STATUS.exists():
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MAXRSS_PER_MIB


def _reset_peak() -> None:
    try:
        CLEAR.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return  # not Linux, or no permission: the peak is that of the whole process
