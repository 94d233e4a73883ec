"""A small disk that fills at random moments; afterwards there is space again, and nothing is lost."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fork_server import Fault, ForkServer
from judgement import Finding, judge
from scenarios import Scenario

MEGABYTES = 8
SCENARIOS = ("run", "overwrite", "resume", "pretrain", "benchmark", "demo", "export", "train-overwrite", "convert")
ATTEMPTS = 54  # at least 50, equally many of each scenario


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Mount a small disk; skip where that is not allowed."""
    place.mkdir()
    if os.geteuid():
        pytest.skip("a small disk needs root; test_steps.py lets every operation fail with ENOSPC instead")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", place], capture_output=True)
    if done.returncode:
        pytest.skip(f"no small disk: {done.stderr.decode()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()


def fill(disk: Path, left: int) -> None:
    """Fill a disk up to some bytes."""
    with (disk / "fill").open("ab", buffering=0) as file, suppress(OSError):
        free = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, max(0, free.f_bavail * free.f_frsize - left))


def attempt(scenario: Scenario, server: ForkServer, scratch: Path, rng: random.Random) -> list[tuple[str, Finding]]:
    """Fill the disk at a random moment, let the command end, free the disk, and judge."""
    known = scenario.undisturbed
    with small_disk(scratch / "disk") as disk:
        home = disk / "home"
        scenario.prepare(home)
        left = rng.choice([0, 0, 4096, 65536])
        n = rng.randrange(len(known.trace))
        command = scenario.start(server, home)
        trace = command.folder / "trace"
        while not command.wait_for(0.0005) and (not trace.exists() or trace.read_bytes().count(b"\n") < n):
            pass
        fill(disk, left)
        command.wait()
        (disk / "fill").unlink()
        found = judge(scenario, home, command, Fault(error=errno.ENOSPC), server)
    return [(f"{scenario.name}: disk full at operation {n}, {left} bytes left", one) for one in found]


def test_a_disk_that_is_full_once(observed, server, tmp_path, rng, report):
    report("disk filled", 1, attempt(observed("run"), server, tmp_path, rng))


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_disk_that_fills_at_random_moments(name, observed, server, tmp_path, rng, report):
    n = ATTEMPTS // len(SCENARIOS)
    found = [one for _ in range(n) for one in attempt(observed(name), server, tmp_path, rng)]
    report("disk filled", n, found)
