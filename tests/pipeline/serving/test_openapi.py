"""The OpenAPI description: schemathesis generates requests from it, and finds no answer that contradicts it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.serving.server_of_runs import serving

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture(scope="module")
def client(paths):
    """A client of a server with runs of several tasks and small limits.

    The time of a silent connection is long, since schemathesis uses connections again after pauses.
    """
    runs = {name: paths[name] for name in ("support", "questions", "stories", "entities")}
    with serving(runs, max_characters=60, max_texts=5, max_tokens=20, client_seconds=60) as (_, client):
        yield client


def found(client, tmp_path, *options):
    """Run all checks of schemathesis; return its exit code and report."""
    url = f"http://127.0.0.1:{client.port}/openapi.json"
    done = subprocess.run([SCHEMATHESIS, "run", url, "--checks", "all", "--phases", "coverage,fuzzing", "--seed", "1",
                           "--generation-deterministic", "--no-color", "--request-timeout", "60",
                           *options], capture_output=True, text=True,
                          cwd=tmp_path)
    return done.returncode, done.stdout + done.stderr


def test_schemathesis_finds_nothing(client, tmp_path):
    code, report = found(client, tmp_path, "--max-examples", "10")
    assert code == 0, report
    assert "Tested: 7" in report


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_many_requests(client, tmp_path):
    code, report = found(client, tmp_path, "--max-examples", "300")
    assert code == 0, report


def test_every_operation_is_described(client):
    described = client.get("/openapi.json")[2]
    assert set(described["paths"]) == {"/health", "/runs", "/metrics", "/predict", "/explain", "/neighbours",
                                       "/generate"}
    for operations in described["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert "200" in operation["responses"]
            for status, answer in operation["responses"].items():
                if status != "200":
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Error"), status
