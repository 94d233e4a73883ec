"""The fork server, the observed scenarios, and the table of attempts at the end."""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from cases import home, vecformer
from fork_server import ForkServer
from judgement import KINDS, SEED, Finding
from scenarios import Scenario, scenarios

__all__ = ["home", "vecformer"]  # fixtures

HERE = Path(__file__).parent
log = logging.getLogger("faults")  # shown while the tests run with -o log_cli=true --log-cli-level=INFO
log.setLevel(logging.INFO)
_table: dict[str, Counter[str]] = {}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that counts operations on files."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if not compiler:
        pytest.skip("no C compiler: faults at every operation on a file need faults.c")
    built = tmp_path_factory.mktemp("library") / "faults.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", built, HERE / "faults.c", "-ldl"], check=True)
    return built


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Iterator[ForkServer]:
    """The server that forks commands."""
    made = ForkServer(tmp_path_factory.mktemp("server"), library)
    yield made
    made.close()


@pytest.fixture(scope="session")
def observed(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Scenario]:
    """Return a scenario by name, after it was executed without a fault once."""
    scratch, known = tmp_path_factory.mktemp("scenarios"), scenarios()

    def find(name: str) -> Scenario:
        one = known[name]
        return one if hasattr(one, "undisturbed") else one.observe(server, scratch)

    return find


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of a test; repeat them with FAULTS_SEED."""
    return random.Random(f"{SEED} {request.node.nodeid.rpartition('/')[2]}")


Report = Callable[[str, int, Sequence[tuple[str, Finding]]], None]


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Report:
    """Record attempts and findings for the table, and fail if there are findings."""

    def made(kind: str, attempts: int, findings: Sequence[tuple[str, Finding]]) -> None:
        counted = Counter(finding.kind for _, finding in findings)
        log.info("%s: %d attempts, %s", kind, attempts, dict(counted))
        for where, finding in findings:
            log.info("%s: %s", where, finding)
        record_property("faults", (kind, {"attempts": attempts, **counted}))
        shown = "\n".join(f"{where}: {finding}" for where, finding in findings[:20])
        assert not findings, f"{len(findings)} findings {dict(counted)}; repeat with FAULTS_SEED={SEED}\n{shown}"

    return made


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        for name, value in report.user_properties:
            if name == "faults":
                _table.setdefault(value[0], Counter()).update(value[1])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _table:
        return
    terminalreporter.write_line(f"\nfault injection, seed {SEED} (repeat with FAULTS_SEED={SEED})")
    columns = ("attempts", *KINDS)
    terminalreporter.write_line(f"{'':32}" + "".join(f"{column:>11}" for column in columns))
    for kind, counts in sorted(_table.items()):
        terminalreporter.write_line(f"{kind:32}" + "".join(f"{counts[column]:11}" for column in columns))
