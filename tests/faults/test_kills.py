"""Signals at random moments of every long command, half of them while it writes its result."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from fork_server import Command, Fault, ForkServer
from judgement import Finding, judge
from scenarios import Scenario, scenarios

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LAST = 0.6  # share of the operations after which a command is near its end
ATTEMPTS = 208  # at least 200, equally many of each scenario


def disturb(scenario: Scenario, number: int, server: ForkServer, home: Path, rng: random.Random, *,
            draws: bool) -> tuple[Command, str]:
    """Send a signal at a random moment of the duration, or of its last part."""
    known = scenario.undisturbed
    late = bool(known.trace) and rng.random() < 0.5
    command = scenario.start(server, home, draws=draws)
    if late:
        n = int(len(known.trace) * rng.uniform(LAST, 1.0))
        trace = command.folder / "trace"
        while not command.wait_for(0.0005) and (not trace.exists() or trace.read_bytes().count(b"\n") < n):
            pass
        moment = rng.uniform(0, 0.01)
    else:
        n, moment = 0, rng.uniform(0, known.seconds * (2 if draws else 1))
    began = time.monotonic()
    command.wait_for(moment)
    command.kill(number)
    command.wait()
    at = f"{moment:.3f} s" if not late else f"operation {n} + {time.monotonic() - began:.3f} s"
    return command, f"{scenario.name}: {signal.Signals(number).name} at {at}"


def attempts(scenario: Scenario, n: int, server: ForkServer, scratch: Path, rng: random.Random, *,
             draws: bool) -> list[tuple[str, Finding]]:
    """Disturb a command several times, and judge each."""
    found = []
    for i in range(n):
        home = scratch / f"home-{i}"
        scenario.prepare(home)
        number = SIGNALS[i % len(SIGNALS)]
        command, where = disturb(scenario, number, server, home, rng, draws=draws)
        found += [(where, one) for one in judge(scenario, home, command, Fault(signal=number), server)]
        shutil.rmtree(home)
    return found


def test_a_run_killed_at_some_moments(observed, server, tmp_path, rng, report):
    report("killed at random moments", 3, attempts(observed("run"), 3, server, tmp_path, rng, draws=False))


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("name", scenarios())
def test_killed_at_random_moments(name, observed, server, tmp_path, rng, report):
    n = ATTEMPTS // len(scenarios())
    report("killed at random moments", n, attempts(observed(name), n, server, tmp_path, rng, draws=True))
