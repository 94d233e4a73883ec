"""The number of usable cores, and waiting threads."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from embeddings.threads import n_cores

ALL = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
CPU_GROUP = Path("/sys/fs/cgroup/cpu")


def file_system(root, membership, files):
    """Write the files that describe control groups."""
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(("membership", "files", "expected"), [
    ("0::/\n", {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, ALL),
    ("0::/a/b\n", {"sys/fs/cgroup/a/cpu.max": "100000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 1),
    ("0::/of/the/host\n", {"sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
    ("3:cpu,cpuacct:/d\n1:memory:/\n", {"sys/fs/cgroup/cpu/d/cpu.cfs_quota_us": "20000\n",
                                       "sys/fs/cgroup/cpu/d/cpu.cfs_period_us": "100000\n"}, 1),
    ("3:cpu,cpuacct:/d\n", {"sys/fs/cgroup/cpu/d/cpu.cfs_quota_us": "-1\n",
                            "sys/fs/cgroup/cpu/d/cpu.cfs_period_us": "100000\n"}, ALL),
    ("3:cpuset:/d\n", {"sys/fs/cgroup/cpu/d/cpu.cfs_quota_us": "20000\n",
                       "sys/fs/cgroup/cpu/d/cpu.cfs_period_us": "100000\n"}, ALL),
    ("0::/\n", {"sys/fs/cgroup/cpu.max": "unreadable"}, ALL),
    ("0::/\n", {"sys/fs/cgroup/cpu.max": "50000 many\n"}, ALL),
    ("0::/\n", {"sys/fs/cgroup/cpu.max": "50000 0\n"}, ALL),
    ("0::/\n", {"sys/fs/cgroup/cpu.max": "\n"}, ALL),
    ("a line of another kind\n", {}, ALL),
])
def test_quota_of_control_groups(tmp_path, membership, files, expected):
    assert n_cores(file_system(tmp_path, membership, files)) == expected


def test_without_control_groups_the_affinity_counts(tmp_path):
    assert n_cores(tmp_path) == ALL


@contextmanager
def limited_group(quota):
    """A control group with a quota in microseconds of 100,000."""
    group = CPU_GROUP / f"vecformer-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text(str(quota))
    except OSError:
        pytest.skip("control groups (v1) cannot be created here")
    try:
        yield group
    finally:
        group.rmdir()


@pytest.mark.skipif(ALL < 2, reason="only one core")
def test_pytorch_uses_the_cores_of_a_real_quota():
    with limited_group(60_000) as group:
        code = f"""import os
open({str(group / "cgroup.procs")!r}, "w").write(str(os.getpid()))
import torch, transformer.layers
from embeddings.threads import n_cores
print(n_cores(), torch.get_num_threads())"""
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True)
    assert done.stdout.split() == ["1", "1"]
