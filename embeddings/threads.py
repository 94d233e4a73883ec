"""How many threads may compute."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

VARIABLES = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")  # read at import by torch and BLAS, and at first use by tokenizers


def limiting_variables(n_threads: int) -> dict[str, str]:
    """Return the environment variables that limit the threads of libraries that are not imported yet."""
    return dict.fromkeys(VARIABLES, str(n_threads))


def limit_threads(n_threads: int) -> None:
    """Limit the threads of the libraries that this process has imported, and of those that it will import."""
    os.environ.update(limiting_variables(n_threads))
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(n_threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n_threads)


def n_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use, at least 1.

    Args:
        root: root of the file system, below which the limits of control groups are read.

    Returns:
        The smaller of the cores of its affinity mask and its CPU quota (cgroup v1 and v2), rounded up.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([available, *map(math.ceil, _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the CPU quotas, in cores, of the control groups of this process and of those that contain them."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:  # such as 0::/user.slice or 3:cpu,cpuacct:/docker/4f1c
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers or "cpu" in controllers.split(","):
            group = Path(path.lstrip("/"))  # in a container it may be that of the host, which is not visible
            for one in (group, *group.parents):
                yield from _quota(root / "sys/fs/cgroup" / ("cpu" if controllers else "") / one)


def _quota(group: Path) -> Iterator[float]:
    try:
        if (both := group / "cpu.max").exists():
            quota, period = both.read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such group, or "max": no quota
        return
    if cores > 0:
        yield cores
