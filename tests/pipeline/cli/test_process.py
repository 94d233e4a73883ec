"""The process of the command line: closed streams, locales, signals, full devices, lack of memory, warnings."""

import errno
import logging
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import rich_click as click
from click.testing import CliRunner

from pipeline.cli import failures
from pipeline.cli.common import reports_errors, verbosity
from pipeline.cli.failures import failure_of
from pipeline.cli.main import Root, cli
from transformer.kernels.primitive_cache import CAPACITY

VECFORMER = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
TINY = ["--source", "random", "--set", "model.n_layers=1", "--set", "model.d_model=16", "--set", "model.n_heads=2",
        "--set", "model.d_ff=32"]
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(script, *args, env=None):
    """Run a shell script in which ``"$@"`` is vecformer with arguments."""
    return subprocess.run(["bash", "-c", script, "bash", *VECFORMER, *map(str, args)], capture_output=True,
                          env={**os.environ, **(env or {})}, timeout=120)


@pytest.fixture(scope="module")
def run(tmp_path_factory, support):
    path = tmp_path_factory.mktemp("process") / "run"
    done = CliRunner().invoke(cli, ["run", "--data", str(support), *TINY, "--epochs", "1", "--out", str(path)])
    assert done.exit_code == 0, done.output
    return path


def test_an_argument_in_the_c_locale_is_utf8(run):
    done = shell('"$@"', "predict", run, "déjà vu, 你好 parcel", "--json", env=C_LOCALE)
    assert (done.returncode, done.stderr) == (0, b"")
    assert '"text": "déjà vu, 你好 parcel"'.encode() in done.stdout


def test_a_path_and_a_file_in_the_c_locale(run, tmp_path):
    (tmp_path / "café.txt").write_text("déjà parcel\n")
    done = shell('"$@"', "predict", run, "--file", tmp_path / "café.txt", env=C_LOCALE)
    assert "déjà parcel".encode() in done.stdout


def test_an_encoding_without_a_character_gives_escapes(run):
    done = shell('"$@"', "predict", run, "你 😀 é parcel", "--json", env={"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0
    assert b'"text": "\\u4f60 \\ud83d\\ude00 \xe9 parcel"' in done.stdout


@pytest.mark.parametrize(("script", "message"), [
    ('"$@" <&-', b"standard input is closed"),
    ('"$@" text >&-', b"standard output is closed"),
    ('"$@" parcel >/dev/full', b"standard output: no space left on the device"),
    ('"$@" <&- >&- 2>&-', b""),
])
def test_closed_and_full_streams(script, message, run):
    done = shell(script, "predict", run)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == bool(message)
    assert message in done.stderr


def test_a_file_does_not_get_the_number_of_a_closed_stream(tmp_path, support):
    done = shell('"$@" <&- >&- 2>&-', "run", "--data", support, *TINY, "--epochs", "1", "--out", tmp_path / "out")
    assert done.returncode == 0
    assert CliRunner().invoke(cli, ["predict", str(tmp_path / "out"), "parcel"]).exit_code == 0


def test_a_closed_pipe_is_silent(run, tmp_path):
    (tmp_path / "x.txt").write_text("parcel\n" * 20_000)
    done = shell('"$@" | head -1; echo ${PIPESTATUS[0]}', "predict", run, "--file", tmp_path / "x.txt")
    assert done.stderr == b""
    assert done.stdout.splitlines()[1] == b"1"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_one_message_that_says_what_remains(number, code, tmp_path, support):
    args = ["run", "--data", support, *TINY, "--epochs", "100000", "-v", "--out", tmp_path / "out"]
    process = subprocess.Popen([*VECFORMER, *map(str, args)], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch 2 "):
            process.send_signal(number)
            break
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    said = [line for line in errors.splitlines() if not line.startswith("epoch")]
    assert len(said) == 1, errors
    assert f"vecformer run --resume {tmp_path / 'out'}" in said[0]
    assert "Traceback" not in errors


def waiting(**more):
    """Start a command that reads standard input, and wait until it handles signals."""
    process = subprocess.Popen([*VECFORMER, "predict", "none"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    status = Path(f"/proc/{process.pid}/status")
    while not caught(status) >> (signal.SIGTERM - 1) & 1:
        time.sleep(0.05)
    return process


def caught(status):
    """Return the mask of the signals that a process handles."""
    return next(int(line.split()[1], 16) for line in status.read_text().splitlines() if line.startswith("SigCgt"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_an_early_signal():
    process = waiting()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert errors.decode().strip() == "Error: interrupted"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_hang_up_that_is_ignored_stays_ignored():
    process = waiting(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # as nohup does
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(b"text", timeout=60)
    assert (process.returncode, b"none: no such run" in errors) == (1, True)


@click.group(cls=Root, package="pipeline.cli", names=())
def group():
    """Commands that fail."""


def invoke(function, *args, env=None):
    """Invoke a command that calls a function."""

    @click.command("one")
    @verbosity
    @reports_errors
    def one_command(quiet):
        function()

    group.names = ("one",)
    group.get_command = lambda _context, _name: one_command
    return CliRunner().invoke(group, ["one", *args], env=env)


def fails(error, *args, env=None):
    """Invoke a command that raises an error."""

    def raises():
        raise error

    return invoke(raises, *args, env=env)


KNOWN = {
    "memory": (MemoryError(), "not enough memory"),
    "memory of torch": (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
                        "not enough memory"),
    "memory of the system": (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory"),
    "recursion": (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
    "surrogates": (UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed"), "caf\\udce9"),
    "permission": (PermissionError(errno.EACCES, "Permission denied", "x.tsv"), "x.tsv: Permission denied"),
    "two paths": (OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b"), "a and b: Invalid"),
    "loop": (OSError(errno.ELOOP, "Too many levels of symbolic links", "x"), "x: Too many levels"),
    "long name": (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000), "File name too long"),
    "full": (OSError(errno.ENOSPC, "No space left on device", "/there/file"), "/there/file: no space left"),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded", "/there/file"), "/there/file: no space left"),
    "NUL": (ValueError("embedded null byte"), "a null character"),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_known_errors_are_one_message(kind):
    error, message = KNOWN[kind]
    result = fails(error)
    assert result.exit_code == 1
    assert message in result.output
    assert len(result.output.splitlines()) == 1
    assert len(result.output) < 2000


@pytest.mark.parametrize("kind", ["memory", "recursion", "permission"])
def test_their_traceback_is_printed_on_request(kind):
    error, message = KNOWN[kind]
    for result in (fails(error, "-v"), fails(error, env={failures.TRACEBACK_VARIABLE: "1"})):
        assert "Traceback" in result.output
        assert result.output.splitlines()[-1].startswith("Error: ")
        assert message in result.output


def test_other_errors_keep_their_traceback():
    assert isinstance(fails(ZeroDivisionError()).exception, ZeroDivisionError)
    assert failure_of(ValueError("something else")) is None
    assert failure_of(RuntimeError("something else")) is None


def test_a_full_device_is_named_if_the_error_does_not(tmp_path, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(failures.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    free = {str(tmp_path / "temporary"): 0}
    monkeypatch.setattr(failures.shutil, "disk_usage", lambda path: SimpleNamespace(free=free.get(str(path), 10**9)))
    result = fails(OSError(errno.ENOSPC, "No space left on device"))
    assert f"{tmp_path / 'temporary'}: no space left" in result.output
    assert str(tmp_path) + ":" not in result.output


def warn():
    warnings.warn("invalid\nvalue \x1b[31m", RuntimeWarning, stacklevel=1)
    logging.getLogger("sklearn").warning("of a library")


def test_warnings_of_libraries_are_one_line_and_not_shown_if_quiet():
    shown = invoke(warn).stderr
    assert shown.startswith("RuntimeWarning: invalid value \\x1b[31m (cli/test_process.py:")
    assert len(shown.splitlines()) == 1
    assert invoke(warn, "-q").stderr == ""
    assert warnings.showwarning.__module__ != "pipeline.cli.common"


@pytest.mark.parametrize(("given", "expected"), [(None, "16"), ("64", "64")])
def test_predictions_keep_few_products_unless_the_environment_has_a_number(run, given, expected, monkeypatch):
    monkeypatch.setenv(CAPACITY, given or "")  # restored afterwards
    if given is None:
        monkeypatch.delenv(CAPACITY)
    assert CliRunner().invoke(cli, ["predict", str(run), "a parcel"]).exit_code == 0
    assert os.environ[CAPACITY] == expected


@pytest.mark.slow
def test_the_memory_of_predictions_does_not_grow_with_the_number_of_lines(run):
    """Batches of all sizes, whose products oneDNN would keep."""
    draw = random.Random(1)
    lines = "".join(" ".join(draw.choices(["parcel", "late", "refund", "where", "is"], k=draw.randrange(1, 60))) + "\n"
                    for _ in range(100_000))
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    few, many = (int(subprocess.run([sys.executable, "-c", code, *VECFORMER, "predict", str(run)], text=True,
                                    input=text, capture_output=True, check=True).stdout)
                 for text in (lines[: len(lines) // 5], lines))
    assert many <= 1.05 * few
