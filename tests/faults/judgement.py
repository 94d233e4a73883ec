"""Checks after a disturbed command: nothing is lost or wrong, and there is no traceback and no temporary file."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fork_server import Command, Fault, ForkServer
from scenarios import MINE, OUT, TRAIN, BrokenError, Digest, Scenario, digest_of, is_lock, names_of

SIGNAL_CODES = {signal.SIGKILL: (-9,), signal.SIGTERM: (143, -15), signal.SIGINT: (130, -2)}
LOST, WRONG, TRACEBACK, LEFT, MESSAGE, HANG, MEMORY = (
    "lost", "wrong", "traceback", "left over", "message", "hang", "memory")
KINDS = (LOST, WRONG, TRACEBACK, LEFT, MESSAGE, HANG, MEMORY)
SEED = int(os.environ.get("FAULTS_SEED", "18"))  # of the random numbers of all tests
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


@dataclass(frozen=True)
class Finding:
    """A fault of the product.

    Attributes:
        kind: one of ``KINDS``.
        text: what happened.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def judge(scenario: Scenario, home: Path, command: Command, fault: Fault, server: ForkServer) -> list[Finding]:
    """Judge a command that was disturbed, repeat it, and judge the result.

    Args:
        scenario: the scenario.
        home: its folder.
        command: the disturbed command, which has ended.
        fault: the signal it was sent, or the error.
        server: executes the commands that follow.
    """
    found = [*_judge_end(command, fault), *_judge_mine(home)]
    state, broken = _state(scenario, home)
    if broken and scenario.kind not in ("file", "benchmark"):  # a mixture may be refused; a summary of fewer runs
        found.append(Finding(WRONG, f"after the fault: {broken}"))
    if command.status == 0 and state != "new" and scenario.kind != "reader":
        found.append(Finding(WRONG, f"exit code 0, but the result is {state}"))
    if command.status == 0 and scenario.kind == "reader" and command.stdout != scenario.undisturbed.stdout:
        found.append(Finding(WRONG, f"another answer after the fault: {command.stdout!r}"))
    # Between two renames the process is killed, or the disk fails for good: the next command completes or undoes them.
    moved = home / f".{OUT}.vecformer-replaced" / "manifest.json"
    between = state == "absent" and (fault.signal == signal.SIGKILL or moved.is_file())
    if scenario.undisturbed.old and state not in ("old", "new") and scenario.kind in ("run", "folder") and not between:
        found.append(Finding(LOST, f"the previous result is {state} after the fault"))
    after = {"run": _after_run, "file": _after_file, "folder": _repeat, "benchmark": _after_benchmark,
             "reader": _repeat}[scenario.kind]
    found += after(scenario, home, command, server)
    state, broken = _state(scenario, home)
    if state != "new":
        found.append(Finding(WRONG, f"after the next command the result is {state} {broken}"))
    if extra := _left_over(home, scenario):
        found.append(Finding(LEFT, f"{sorted(extra)}"))
    return [*found, *_judge_mine(home)]


def _judge_end(command: Command, fault: Fault) -> list[Finding]:
    """Judge the exit code and the message."""
    stderr, found = command.stderr, []
    allowed = (0, *SIGNAL_CODES[signal.Signals(fault.signal)]) if fault.signal else (0, 1)
    if command.is_of_worker(fault.step):  # the run fails, the others continue
        allowed = (0, 1)
    if "Traceback" in stderr:
        found.append(Finding(TRACEBACK, stderr[-1500:]))
    if command.status not in allowed:
        found.append(Finding(MESSAGE, f"exit code {command.status}: {stderr[-300:]}"))
    if command.status in (1, 2, 130) and "Error" not in stderr:
        found.append(Finding(MESSAGE, f"exit code {command.status} without a message"))
    return found


def _judge_mine(home: Path) -> list[Finding]:
    """Check the user's own files."""
    return [Finding(LOST, f"the user's file {name}") for name, content in MINE.items()
            if not (home / name).is_file() or (home / name).read_text() != content]


def _state(scenario: Scenario, home: Path) -> tuple[str, str]:
    """Return whether the result is absent, old, new or neither, and what is wrong with it."""
    try:
        found = digest_of(scenario, home)
    except (BrokenError, OSError, ValueError) as error:
        return "broken", str(error)
    known: dict[str, Digest] = {"absent": {}, "new": scenario.undisturbed.new, "old": scenario.undisturbed.old}
    for name in ("absent", "new", "old"):
        if found == known[name]:
            return name, ""
    new = scenario.undisturbed.new
    return "neither", f"differs in {sorted(key for key in found.keys() | new.keys() if found.get(key) != new.get(key))}"


def _left_over(home: Path, scenario: Scenario) -> set[str]:
    """Return the names that an undisturbed execution would not have left."""
    return {name for name in names_of(home) - scenario.undisturbed.names if not is_lock(home / name)}


def stage_one_done(trace: Sequence[tuple[str, str, str]]) -> bool:
    """Return whether a command completed its first stage: it put stage_one.json in place, and did something else."""
    places = [i for i, (name, _, to) in enumerate(trace) if name == "rename" and to.endswith("stage_one.json")]
    return bool(places) and places[-1] < len(trace) - 2


def _after_run(scenario: Scenario, home: Path, command: Command, server: ForkServer) -> list[Finding]:
    """Resume an unfinished run; repeat the command if there is none."""
    state, _ = _state(scenario, home)
    done = bool(scenario.stopped) or stage_one_done(command.trace)
    found: list[Finding] = []
    stderr = command.stderr
    if done and "nothing was written" in stderr:
        found.append(Finding(MESSAGE, f"says that nothing was written: {stderr[-200:]}"))
    if state == "new":
        return found + _execute(scenario, _overwriting(scenario), home, server)
    if (home / f"{OUT}.unfinished" / "config.toml").is_file() or (done and state != "new"):
        resumed = server.run(("run", "--resume", OUT, "-q"), cwd=home, watch=home)
        if resumed.status == 0:
            return found
        found += _judge_end(resumed, Fault(error=errno.ENOSPC))
        if done:
            found.append(Finding(LOST, f"stage one was done, but --resume: {resumed.stderr[-300:]}"))
    return found + _execute(scenario, _overwriting(scenario), home, server)


def _overwriting(scenario: Scenario) -> tuple[object, ...]:
    argv = scenario.argv if "--resume" not in scenario.argv else scenario.before[-1]
    return (*argv, "--overwrite")


def _after_file(scenario: Scenario, home: Path, command: Command, server: ForkServer) -> list[Finding]:
    """Check that a mixture of old and new files is refused; repeat the command."""
    main = home / Path(str(scenario.argv[scenario.argv.index("--to") + 1])).name
    if scenario.undisturbed.old and not main.exists():  # killed between two renames: reading it puts it back
        server.run(("embed", "info", main), cwd=home)
    state, broken = _state(scenario, home)
    found: list[Finding] = []
    if scenario.undisturbed.old and not main.exists():
        found.append(Finding(LOST, f"the previous {main.name}"))
    if state == "neither" and main.exists():
        table = {name: digest for name, digest in digest_of(scenario, home).items() if ".training." not in name}
        whole = any(table.items() <= known.items() for known in (scenario.undisturbed.old, scenario.undisturbed.new))
        more = (*TRAIN, "--source", f"word2vec,dim=8,start={main}", "--to", "more.npy")
        shown = server.run(more if whole else ("embed", "info", main), cwd=home)
        found += _judge_end(shown, Fault(error=errno.EIO))
        mixed = not whole or main.with_suffix(".training.safetensors").exists()
        if mixed and shown.status == 0:
            found.append(Finding(WRONG, f"a mixture of old and new files is read: {broken}"))
        elif mixed and whole and "belongs to other vectors" not in shown.stderr:
            found.append(Finding(MESSAGE, f"a mixture is refused for another reason: {shown.stderr[-300:]}"))
        for made in home.glob("more.*"):
            made.unlink()
    return found + _execute(scenario, (*scenario.argv, "--overwrite"), home, server)


def _after_benchmark(scenario: Scenario, home: Path, command: Command, server: ForkServer) -> list[Finding]:
    """Repeat the command; every run that was finished is kept."""
    results = home / OUT / "results.jsonl"
    before = results.read_bytes().split(b"\n")[:-1] if results.exists() else []
    done = [line for line in before if b'"status": "done"' in line]
    found = _execute(scenario, scenario.argv, home, server)
    after = results.read_bytes().split(b"\n") if results.exists() else []
    if not set(done) <= set(after):
        found.append(Finding(LOST, "records of finished runs"))
    return found


def _repeat(scenario: Scenario, home: Path, command: Command, server: ForkServer) -> list[Finding]:
    if scenario.kind == "folder" and os.path.lexists(home / OUT) and "--overwrite" not in scenario.argv:
        return _refused(scenario, home, server)  # complete, as was checked before
    return _execute(scenario, scenario.argv, home, server)


def _refused(scenario: Scenario, home: Path, server: ForkServer) -> list[Finding]:
    """Execute a command whose result exists."""
    again = server.run(scenario.argv, cwd=home, call=scenario.call)
    if again.status == 1 and "already exists" in again.stderr:
        return []
    return [Finding(MESSAGE, f"{scenario.argv[0]} again: exit code {again.status}: {again.stderr[-400:]}")]


def _execute(scenario: Scenario, argv: Sequence[object], home: Path, server: ForkServer) -> list[Finding]:
    """Execute a command, which must succeed."""
    again = server.run(argv, cwd=home, watch=home, call=scenario.call)
    found = [Finding(TRACEBACK, again.stderr[-1500:])] if "Traceback" in again.stderr else []
    if again.status:
        found.append(Finding(LOST, f"{argv[0]} again: exit code {again.status}: {again.stderr[-400:]}"))
    elif scenario.kind == "reader" and again.stdout != scenario.undisturbed.stdout:
        found.append(Finding(WRONG, f"another answer: {again.stdout!r}"))
    return found
