"""Two commands on one folder at once: one works, the other is refused or waits; the result is never a mixture."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fork_server import ForkServer
from judgement import LEFT, LOST, MESSAGE, TRACEBACK, WRONG, Finding
from scenarios import DATA, MINE, OUT, BrokenError, Digest, Scenario, digest_of, is_lock, names_of, run_of, scenarios

CONVERT = ("embed", "convert", DATA / "support" / "vectors.txt", "-q", "--overwrite")
RESUME = ("run", "--resume", OUT, "-q")
PREDICT = ("predict", OUT, "where is my parcel")
EVALUATE = ("evaluate", OUT, "--data", DATA / "support" / "test.tsv")


@dataclass(frozen=True)
class Pair:
    """Two commands, in a state that a scenario prepares.

    Attributes:
        first: arguments of the command that starts first.
        second: arguments of the other.
        state: name of the scenario before whose command they start; its kind tells what is compared.
        reads: the second command only reads; its output is that before or after the first.
    """

    first: tuple[Any, ...]
    second: tuple[Any, ...]
    state: str
    reads: bool = False


def pairs() -> dict[str, Pair]:
    """Return twenty pairs by name."""
    known = scenarios()
    benchmark, demo, export = (known[name].argv for name in ("benchmark", "demo", "export"))
    train, train_over = known["train"].argv, known["train-overwrite"].argv
    one, two = run_of(seed=1), run_of(seed=2)
    one_over, two_over = run_of(seed=1, overwrite=True), run_of(seed=2, overwrite=True)
    to_npy, to_safetensors = ((*CONVERT, "--to", f"{OUT}{suffix}") for suffix in (".npy", ".safetensors"))
    return {
        "run, run": Pair(one, two, "run"),
        "run, run --overwrite": Pair(one, two_over, "run"),
        "run --overwrite, run --overwrite": Pair(one_over, two_over, "run"),
        "run --overwrite, run --overwrite on a run": Pair(one_over, two_over, "overwrite"),
        "run --overwrite, run on a run": Pair(one_over, two, "overwrite"),
        "run --overwrite, resume": Pair(two_over, RESUME, "resume"),
        "resume, run --overwrite": Pair(RESUME, two_over, "resume"),
        "resume, run": Pair(RESUME, two, "resume"),
        "resume, resume": Pair(RESUME, RESUME, "resume"),
        "run --overwrite, predict": Pair(one_over, PREDICT, "overwrite", reads=True),
        "run --overwrite, evaluate": Pair(one_over, EVALUATE, "overwrite", reads=True),
        "resume, predict": Pair(RESUME, PREDICT, "resume", reads=True),
        "benchmark, benchmark": Pair(benchmark, benchmark, "benchmark"),
        "export, export": Pair(export, export, "export"),
        "demo, demo": Pair(demo, demo, "demo"),
        "demo, run": Pair(demo, one, "demo"),
        "train, train": Pair(train, train, "train"),
        "train --overwrite, train --overwrite": Pair(train_over, (*train_over, "--seed", 3), "train-overwrite"),
        "convert, convert with companions": Pair((*to_npy, "--limit", 50), to_npy, "convert"),
        "convert, convert": Pair((*to_safetensors, "--limit", 50), to_safetensors, "train-overwrite"),
    }


@dataclass(frozen=True)
class Alone:
    """What each command of a pair does alone: its result, its output, and all names."""

    results: tuple[Digest, Digest]
    stdout: tuple[str, str]
    names: frozenset[str]


@pytest.fixture(scope="session")
def alone(server, observed, tmp_path_factory) -> Callable[[str], Alone]:
    """Execute both commands of a pair one at a time."""
    made: dict[str, Alone] = {}

    def find(name: str) -> Alone:
        if name not in made:
            pair, scratch = pairs()[name], tmp_path_factory.mktemp("alone")
            state, results, outputs, names = observed(pair.state), [], [], frozenset[str]()
            for i, argv in enumerate((pair.first, pair.second)):
                home = scratch / str(i)
                state.prepare(home)
                done = server.run(argv, cwd=home, call=state.call)
                results.append(_result(state, home)[0] if not done.status else {})
                outputs.append(done.stdout)
                names |= names_of(home)
            if pair.reads:
                results[1], outputs = results[0], [server.run(pair.second, cwd=scratch / "0").stdout, outputs[1]]
            made[name] = Alone((results[0], results[1]), (outputs[0], outputs[1]), names)
        return made[name]

    return find


def _result(state: Scenario, home: Path) -> tuple[Digest, str]:
    try:
        return digest_of(state, home), ""
    except (BrokenError, OSError, ValueError) as error:
        return {"broken": ""}, str(error)


def race(name: str, alone: Alone, state: Scenario, server: ForkServer, home: Path, rng: random.Random
         ) -> list[tuple[str, Finding]]:
    """Start the second command at a random moment of the first, and judge both."""
    pair = pairs()[name]
    state.prepare(home)
    first = server.start(pair.first, cwd=home, watch=home, call=state.call)
    moment = rng.choice([0.0, rng.uniform(0, state.undisturbed.seconds)])
    time.sleep(moment)
    second = server.start(pair.second, cwd=home, watch=home, call=state.call)
    first.wait()
    second.wait()
    found: list[Finding] = []
    for command in (first, second):
        if "Traceback" in command.stderr:
            found.append(Finding(TRACEBACK, command.stderr[-700:]))
        if command.status not in (0, 1) or (command.status and "Error" not in command.stderr):
            found.append(Finding(MESSAGE, f"exit code {command.status}: {command.stderr[-300:]}"))
    if pair.reads:
        if second.status == 0 and second.stdout not in alone.stdout:
            found.append(Finding(WRONG, f"another answer: {second.stdout!r}"))
        if first.status:
            found.append(Finding(LOST, f"refused because of a reader: {first.stderr[-300:]}"))
    elif first.status and second.status:
        found.append(Finding(LOST, f"neither works: {first.stderr[-300:]} {second.stderr[-300:]}"))
    result, broken = _result(state, home)
    worked = [digest for command, digest in zip((first, second), alone.results, strict=True) if not command.status]
    if result not in (worked or [state.undisturbed.old]):
        found.append(Finding(WRONG, f"exit codes {first.status} and {second.status}, but the result is of neither or "
                                    f"of the other {broken}"))
    found += [Finding(LOST, f"the user's file {one}") for one, text in MINE.items() if (home / one).read_text() != text]
    if left := {one for one in names_of(home) - alone.names if not is_lock(home / one)}:
        found.append(Finding(LEFT, str(sorted(left))))
    shutil.rmtree(home)
    return [(f"{name}, {moment:.3f} s later", one) for one in found]


@pytest.mark.parametrize("name", ["run, run --overwrite", "train, train"])
def test_two_commands_at_once(name, alone, observed, server, tmp_path, rng, report):
    report("races", 1, race(name, alone(name), observed(pairs()[name].state), server, tmp_path / "home", rng))


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("name", pairs())
def test_two_commands_at_once_several_times(name, alone, observed, server, tmp_path, rng, report):
    state = observed(pairs()[name].state)
    found = [one for _ in range(4) for one in race(name, alone(name), state, server, tmp_path / "home", rng)]
    report("races", 4, found)
