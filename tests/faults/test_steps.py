"""A signal or an error at every operation on a file: killed, interrupted, disk full, quota, broken disk, read-only."""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from fork_server import Fault, ForkServer
from judgement import Finding, judge
from scenarios import OUT, Scenario, scenarios

FAULTS = (
    Fault(signal=signal.SIGKILL), Fault(error=errno.ENOSPC), Fault(signal=signal.SIGINT), Fault(error=errno.EIO),
    Fault(signal=signal.SIGTERM), Fault(error=errno.EDQUOT), Fault(error=errno.EROFS),
    Fault(error=errno.EIO, lasting=False),
)
PARTS = {"run": 4, "overwrite": 4, "benchmark": 6, "demo": 6}  # of the others 2
FEW = {"run": 4, "overwrite": 3, "resume": 1, "train-overwrite": 2, "export": 1, "transplant": 2}
"""Steps in the ordinary test suite."""


def at(fault: Fault, step: int) -> Fault:
    return Fault(step, fault.signal, fault.error, fault.lasting)


def attempt(scenario: Scenario, fault: Fault, server: ForkServer, scratch: Path) -> list[tuple[str, Finding]]:
    """Disturb a command at one step, and judge it."""
    home = scratch / "home"
    scenario.prepare(home)
    command = scenario.start(server, home, fault)
    command.wait()
    operation = scenario.undisturbed.trace[fault.step - 1]
    found = judge(scenario, home, command, fault, server)
    shutil.rmtree(home)
    return [(f"{scenario.name}: {fault} ({' '.join(operation)})", one) for one in found]


@pytest.mark.parametrize("name", FEW)
def test_a_fault_at_some_steps(name, observed, server, tmp_path, rng, report):
    scenario = observed(name)
    n = len(scenario.undisturbed.trace)
    found = []
    for i in range(FEW[name]):
        step = rng.randint(n * 2 // 3, n) if i % 2 == 0 else rng.randint(1, n)
        found += attempt(scenario, at(FAULTS[(rng.randrange(2) + 2 * i) % len(FAULTS)], step), server, tmp_path)
    report("faults at some steps", FEW[name], found)


def synchronised(trace: Sequence[tuple[str, str, str]]) -> set[str]:
    """Return the files whose contents were synchronised with the disk after the last write, by their last names."""
    found: set[str] = set()
    for name, path, to in trace:
        if name == "write":
            found.discard(path)
        elif name == "fsync":
            found.add(path)
        elif name == "rename":
            found |= {to + one[len(path) :] for one in found if one == path or one.startswith(f"{path}/")}
    return found


@pytest.mark.parametrize("name", ["run", "overwrite", "export", "transplant", "train-overwrite", "convert"])
def test_every_file_is_synchronised_before_it_gets_its_name(name, observed):
    scenario = observed(name)
    written = {one for one in scenario.undisturbed.names if one.startswith(OUT) and Path(one).suffix}
    assert written
    assert written <= synchronised(scenario.undisturbed.trace)


def parts() -> list[tuple[str, int]]:
    """Return scenarios and parts of their steps, so that two processes share the work."""
    return [(name, part) for name in scenarios() for part in range(PARTS.get(name, 2))]


@pytest.mark.slow
@pytest.mark.fault_steps
@pytest.mark.parametrize(("name", "part"), parts())
def test_a_fault_at_every_step(name, part, observed, server, tmp_path, rng, report):
    """Every step has one kind of fault; the last steps of runs, which write the result, and readers have every kind."""
    scenario = observed(name)
    n, of = len(scenario.undisturbed.trace), sum(one == name for one, _ in parts())
    shift, found, attempts = rng.randrange(len(FAULTS)), [], 0
    for step in range(1 + part, n + 1, of):
        thorough = scenario.kind == "reader" or (name in ("run", "overwrite") and step > n - 24)
        for fault in FAULTS if thorough else [FAULTS[(step // of + shift) % len(FAULTS)]]:
            found += attempt(scenario, at(fault, step), server, tmp_path)
            attempts += 1
    assert attempts
    report("faults at every step", attempts, found)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("name", ["predict", "evaluate"])
def test_a_reader_changes_no_file(name, observed):
    assert {what for what, _, _ in observed(name).undisturbed.trace} == {"read"}


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[-1]], ids=["SIGKILL", "EIO"])
def test_a_fault_in_a_worker_fails_one_run(fault, observed, server, tmp_path):
    scenario = observed("benchmark")
    step = next(k for k, (_, path, _) in enumerate(scenario.undisturbed.trace, 1) if path.endswith("tokenizer.json"))
    scenario.prepare(tmp_path / "home")
    command = scenario.start(server, tmp_path / "home", at(fault, step))
    assert command.wait() == 1
    assert command.is_of_worker(step)
    assert "1 runs failed" in command.stderr
