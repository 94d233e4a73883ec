"""Shared by the tests of users' inputs: the folder of a case, execution of commands, and what is expected of them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fork_server import Command, ForkServer
from scenarios import DATA, OUT, SMALL

CASES = DATA.parent / "tests" / "fixtures" / "cases"
VECTORS = DATA / "support" / "vectors.txt"
TINY = ("--source", "random,dim=16", "--epochs", "1", *SMALL, "--out", OUT, "--overwrite")
GIGABYTE = 2**30
TOPICS = ["billing", "delivery"]


@pytest.fixture
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the inputs of the case in the test's name."""
    number = re.match(r"test_(\d\d)_", request.node.name)
    if number and (CASES / number[1]).is_dir():
        shutil.copytree(CASES / number[1], tmp_path / "case")
    else:
        (tmp_path / "case").mkdir()
    return tmp_path / "case"


@pytest.fixture
def vecformer(server: ForkServer, home: Path) -> Iterator[Any]:
    """Execute a command in the folder of the case; no command of any case may end in a traceback."""
    done: list[Command] = []

    def execute(*argv: Any, **options: Any) -> Command:
        done.append(server.run(argv, cwd=home, watch=home, **options))
        return done[-1]

    yield execute
    for command in done:
        assert "Traceback" not in command.stderr, command.stderr


def works(command: Command) -> Command:
    assert command.status == 0, command.stderr
    return command


def refused(command: Command, pattern: str) -> Command:
    """Check that there is one message, which the pattern matches."""
    assert command.status in (1, 2), (command.status, command.stderr)
    assert len(re.findall("^Error: ", command.stderr, re.MULTILINE)) == 1, command.stderr
    assert len(command.stderr) < 4_000
    assert re.search(pattern, command.stderr, re.IGNORECASE | re.DOTALL), command.stderr
    return command


def resolved(home: Path) -> dict[str, Any]:
    return json.loads((home / OUT / "resolved.json").read_text())


def vocabulary(home: Path) -> set[str]:
    return set(json.loads((home / OUT / "tokenizer.json").read_text())["model"]["vocab"])


def metrics(home: Path) -> dict[str, Any]:
    return json.loads((home / OUT / "metrics.json").read_text())


def words_of(path: Path) -> list[str]:
    return json.loads(path.with_suffix(".json").read_text())["words"]


def labelled(path: Path, n_labels: int, n_each: int = 2) -> Path:
    """Write texts of many labels."""
    lines = [f"word{i} thing number {i} here {j}\tL{i:05}" for i in range(n_labels) for j in range(n_each)]
    path.write_text("\n".join(["text\tlabel", *lines]) + "\n")
    return path
