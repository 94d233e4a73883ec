"""What work costs: seconds and the most memory it took."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

A_MB = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes on macOS, KiB on Linux
CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
RESET_PEAK = "5"  # proc(5): sets the peak back to what is in use now


@dataclass
class Cost:
    """What a piece of work took.

    Attributes:
        seconds: of wall time.
        peak_memory_mb: the most that the process had in memory meanwhile, in MiB; where the system does not tell that
            apart (all but Linux), the most since the process began.
    """

    seconds: float = 0.0
    peak_memory_mb: float = 0.0


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure the block; the values are there when it has ended."""
    cost = Cost()
    _reset_peak()
    start = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - start
        cost.peak_memory_mb = peak_memory_mb()


def peak_memory_mb() -> float:
    """The most memory that this process had since it began, or since :func:`measured` last began; MiB."""
    if STATUS.exists():
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / A_MB


def _reset_peak() -> None:
    try:
        CLEAR.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return  # no such file, or a closed one: the peak is then that of the whole process
