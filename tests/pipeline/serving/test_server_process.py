"""The command: addresses, tokens, names, signals, and mistakes that are one message."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.commands.serve import load_service, serve
from tests.pipeline.serving.server_of_runs import Client

VECFORMER = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]


@contextmanager
def started(*args, env=None):
    """Start ``vecformer serve`` on a free port; yields the process, its lines and a client."""
    process = subprocess.Popen([*VECFORMER, "serve", *map(str, args), "--port", "0"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    lines = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("http://"):
                break
        assert lines, process.communicate()
        assert lines[-1].startswith("http://"), process.communicate()
        yield process, lines, Client(int(re.search(r":(\d+)", lines[-1].removeprefix("http:"))[1]))
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("number", "code"), [
    (signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow)])
def test_a_signal_ends_the_server_after_the_answers_in_progress(number, code, paths):
    with started(f"stories={paths['stories']}") as (process, lines, client):
        assert lines[0] == "stories: language-model"
        answers = []
        request = {"prompt": "An old goat", "max_tokens": 500}
        asking = threading.Thread(target=lambda: answers.append(client.post("/generate", request)))
        asking.start()
        while not re.search(r'streamed_parts_total\{run="stories"\} [1-9]', client.get("/metrics")[2]):
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        asking.join()
    assert (process.returncode, errors) == (code, "Error: interrupted; requests in progress were answered\n")
    assert json.loads(answers[0][2].splitlines()[-1])["done"]


def test_the_server_ends_although_clients_are_silent(paths):
    with started(paths["support"]) as (process, _, client):
        silent = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(3)]
        silent[1].sendall(b"POST /predict HTTP/1.1\r\n")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(timeout=30) == 130
        assert time.monotonic() - began < 10
        for one in silent:
            one.close()


def test_a_server_for_other_machines_needs_a_token(paths):
    with started(paths["support"], "--host", "0.0.0.0") as (_, lines, client):
        token = lines[1].removeprefix("token: ")
        assert re.fullmatch(r"[\w-]{32}", token)
        assert lines[-1].endswith(f"/#token={token}")
        assert client.get("/runs")[0] == 401
        client.token = token
        assert client.get("/runs")[0] == 200


def test_options_reach_the_server(paths, monkeypatch):
    seen = {}
    monkeypatch.setattr("pipeline.commands.serve.serve", lambda service, **options: seen.update(options, of=service))
    monkeypatch.setenv("VECFORMER_TOKEN", "a-secret-of-the-environment")
    result = run(f"one={paths['support']}", f"two={paths['pairs']}", "--max-texts", 2, "--max-characters", 5,
                 "--max-body", 2000, "--max-waiting", 3, "--answer-seconds", 4, "--client-seconds", 5, "--precision",
                 "bfloat16", "--port", 1234)
    assert (result.exit_code, result.output) == (0, "")
    assert (seen["token"], seen["port"], seen["host"]) == ("a-secret-of-the-environment", 1234, "127.0.0.1")
    limits = seen["of"].limits
    assert (limits.max_texts, limits.max_characters, limits.max_body, limits.max_waiting) == (2, 5, 2000, 3)
    assert (limits.answer_seconds, limits.client_seconds) == (4, 5)
    assert [(name, one.trained.precision) for name, one in seen["of"].runs.items()] == [
        ("one", "bfloat16"), ("two", "bfloat16")]
    run(paths["support"], "--token", "a-token-that-was-given")
    assert seen["token"] == "a-token-that-was-given"


def run(*args, **more):
    return CliRunner().invoke(cli, ["serve", *map(str, args)], **more)


def test_a_port_in_use_is_one_message(paths):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run(paths["support"], "--port", port)
    assert result.exit_code == 1
    assert result.output == (f"Error: 127.0.0.1, port {port}: another program uses this port; choose another with "
                             "--port N, or any free one with --port 0\n")


@pytest.mark.parametrize(("args", "message"), [
    (["--host", "no.such.host.invalid"], "no such address on this machine"), (["--host", "192.0.2.1"], "192.0.2.1"),
    (["--token", "short"], "at least 16 printable"), (["--token", "sixteen characters"], "without spaces"),
])
def test_wrong_options_are_one_message(args, message, paths):
    result = run(paths["support"], "--port", 0, *args)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


def test_an_unknown_run_is_one_message(tmp_path):
    result = run(tmp_path / "none")
    assert result.exit_code == 1
    assert "none: no such run" in result.output


def test_a_missing_extra_is_one_message(paths, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    result = run(paths["support"])
    assert result.exit_code == 1
    assert result.output == "Error: serving needs fastapi, uvicorn: pip install 'vecformer[serve]'\n"


def test_names_of_runs(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("pipeline.commands.serve.load_service", lambda runs, **_: seen.append(runs))
    monkeypatch.setattr("pipeline.commands.serve.serve", lambda *_args, **_options: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "y=z").mkdir()
    assert run("a/x", "other=b/x", "y=z", f"uri=file://{tmp_path}/q%20q").exit_code == 0
    assert seen == [{"x": Path("a/x"), "other": Path("b/x"), "y=z": Path("y=z"), "uri": tmp_path / "q q"}]
    result = run("a/x", "b/x")
    assert result.exit_code == 2
    assert result.output == "Error: two runs have the name 'x'; give one of them another name: NAME=b/x\n"


def test_the_function_announces_the_address(paths):
    service, announced = load_service({"support": paths["support"]}), []

    def announce(address):
        announced.append(address)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(service, port=0, host="localhost", announce=announce)
    assert re.fullmatch(r"http://localhost:\d+", announced[0].url)
    assert announced[0].token is None
    assert not service.workers["support"].is_alive
