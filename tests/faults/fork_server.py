"""Runs commands in forked copies of a process that has imported everything, so that starting one takes no seconds.

``python fork_server.py`` is the server; :class:`ForkServer` is its client. Each command is a process of its own, with
its own output, current folder and signal handlers, which the tests kill or let fail at any moment.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
PACKAGES = ("embeddings", "transformer", "pipeline")
TIMEOUT = 120.0


@dataclass(frozen=True)
class Fault:
    """What happens to a command.

    Attributes:
        step: number of the operation on a file at which it happens, from 1; 0 for never.
        signal: signal that is sent at that moment.
        error: ``errno`` with which the operation fails.
        lasting: all later operations fail too, as on a full disk.
    """

    step: int = 0
    signal: int = 0
    error: int = 0
    lasting: bool = True

    def __str__(self) -> str:
        what = signal.Signals(self.signal).name if self.signal else os.strerror(self.error)
        return f"{what} at step {self.step}"


NO_FAULT = Fault()


@dataclass
class Command:
    """A command that was started.

    Attributes:
        pid: its process.
        status: its exit code, negative for a signal; None while it runs.
        folder: folder of its output and trace.
        began: time of its start.
    """

    server: ForkServer
    pid: int
    folder: Path
    argv: Sequence[str]
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    status: int | None = None

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Return the exit code; a command that takes longer than the timeout is killed and raises TimeoutError."""
        if not self.wait_for(timeout):
            self.kill(signal.SIGKILL)
            self.wait_for(10)
            raise TimeoutError(f"{' '.join(self.argv)}: no end after {timeout} s\n{self.stderr}")
        assert self.status is not None
        return self.status

    def wait_for(self, seconds: float) -> bool:
        """Wait at most so long; return whether the command has ended."""
        until = time.monotonic() + seconds
        while self.status is None and (left := until - time.monotonic()) > 0:
            self.server.listen(left)
        return self.status is not None

    def kill(self, number: int) -> None:
        """Send a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def stdout(self) -> str:
        return self._read("stdout")

    @property
    def stderr(self) -> str:
        return self._read("stderr")

    @property
    def trace(self) -> list[tuple[str, str, str]]:
        """The operations on files: name, path, new path, by number; paths are below the watched folder."""
        return [(name, path, to) for _, _, name, path, to in self._operations()]

    def is_of_worker(self, step: int) -> bool:
        """Return whether a process that the command forked, such as a benchmark's worker, executed an operation."""
        return any(number == step and pid != self.pid for number, pid, *_ in self._operations())

    def _operations(self) -> list[tuple[int, int, str, str, str]]:
        split = (line.split("\t") for line in self._read("trace").splitlines())
        return sorted((int(line[1]), int(line[0]), line[2], line[3], line[4]) for line in split if len(line) == 5)

    def _read(self, name: str) -> str:
        path = self.folder / name  # there is none if the command was killed before it began
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


class ForkServer:
    """A client with a server of its own.

    Args:
        scratch: folder for the outputs of commands.
        preload: library to preload into every command, which counts operations (``faults.c``); None for none.
    """

    def __init__(self, scratch: Path, preload: Path | None = None) -> None:
        self.scratch = scratch
        self._n, self._buffer = 0, b""
        self._running: dict[int, Command] = {}
        self._ours, theirs = socket.socketpair()
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1",
                       "VECFORMER_CACHE": str(scratch / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
        if preload:
            environment["LD_PRELOAD"] = str(preload)
        scratch.mkdir(parents=True, exist_ok=True)
        self._log = (scratch / "server.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno()), str(preload or "")], pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=environment, start_new_session=True)
        theirs.close()

    def start(
        self, argv: Sequence[Any], *, cwd: Path | None = None, watch: Path | None = None, fault: Fault = NO_FAULT,
        call: str = "", draws: bool = False, environment: Mapping[str, str] | None = None, stdin: Path | None = None,
        memory: int = 0, reads: bool = False,
    ) -> Command:
        """Start a command.

        Args:
            argv: arguments of ``vecformer``.
            cwd: current folder.
            watch: folder whose operations are counted.
            fault: what happens to it.
            call: ``module:function`` to call in the process first, such as one that makes a demonstration small; if it
                returns True, that is all.
            draws: draw the figures of reports, which takes as long as everything else in so small a run.
            environment: changed variables.
            stdin: standard input, by default empty.
            memory: limit of the address space in bytes above that of the server; 0 for none.
            reads: count the files that are opened for reading as well.
        """
        self._n += 1
        folder = self.scratch / str(self._n)
        folder.mkdir()
        request = {
            "argv": list(map(_text, argv)), "cwd": str(cwd or folder), "output": str(folder),
            "watch": str(watch or ""), "call": call, "draws": draws, "memory": memory,
            "environment": dict(environment or {}), "stdin": str(stdin or os.devnull), "step": fault.step,
            "signal": int(fault.signal), "error": fault.error, "lasting": fault.lasting, "reads": reads,
        }
        self._ours.sendall(json.dumps(request).encode() + b"\n")
        self._started: Command | None = None
        self._pending = (folder, request["argv"])
        until = time.monotonic() + TIMEOUT
        while self._started is None:
            self.listen(1)
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self.scratch / "server.log").read_text())
        return self._started

    def run(self, argv: Sequence[Any], **options: Any) -> Command:
        """Start a command and wait for its end."""
        timeout = options.pop("timeout", TIMEOUT)
        command = self.start(argv, **options)
        command.wait(timeout)
        return command

    def listen(self, seconds: float) -> None:
        """Process the server's messages that come within so many seconds, at least one if there is one."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return
        received = self._ours.recv(65536)
        if not received:
            raise RuntimeError((self.scratch / "server.log").read_text())
        *lines, self._buffer = (self._buffer + received).split(b"\n")
        for line in lines:
            pid, status = json.loads(line)
            if status is None:
                self._started = self._running[pid] = Command(self, pid, *self._pending)
            else:
                command = self._running.pop(pid)
                command.status, command.seconds = status, time.monotonic() - command.began

    def close(self) -> None:
        """Stop the server and what it started."""
        for command in list(self._running.values()):
            command.kill(signal.SIGKILL)
        self._ours.close()
        self._process.wait(20)
        self._log.close()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def limit_memory(more: int) -> None:
    """Limit the address space of this process to so many bytes more than it has now."""
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + more, used + more))


# The server.


def _import_everything() -> None:
    """Import what commands import, without starting a thread."""
    import gc
    import pkgutil

    import torch

    torch.set_num_threads(1)
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            with suppress(ImportError):
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def _serve(connection: socket.socket) -> dict[str, Any]:
    """Fork a child for every request; return the request in the child, and never in the server."""
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    buffer = b""
    while True:
        ready = select.select([connection, wake], [], [])[0]
        if wake in ready:
            with suppress(BlockingIOError):
                os.read(wake, 4096)
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                connection.sendall(json.dumps([found[0], os.waitstatus_to_exitcode(found[1])]).encode() + b"\n")
        if connection not in ready:
            continue
        received = connection.recv(65536)
        if not received:
            os._exit(0)
        *lines, buffer = (buffer + received).split(b"\n")
        for line in lines:
            request: dict[str, Any] = json.loads(line)
            _learn(Path(request["output"]).parent)
            if not (pid := os.fork()):
                signal.set_wakeup_fd(-1)
                os.close(wake)
                os.close(waker)
                connection.close()
                return request
            connection.sendall(json.dumps([pid, None]).encode() + b"\n")


def _draw_nothing() -> None:
    """Let figures be empty."""
    from matplotlib.figure import Figure

    def save(self: Figure, target: Any, **_options: Any) -> None:
        target.write("<svg></svg>" if isinstance(target, io.StringIO) else b"")

    Figure.savefig = save  # type: ignore[assignment]


def _learn(scratch: Path) -> None:
    """Import the modules that earlier commands imported."""
    for path in scratch.glob("modules-*"):
        for name in path.read_text().split():
            if name not in sys.modules and not name.startswith("__"):
                with suppress(Exception):
                    importlib.import_module(name)
        path.unlink()


def _become(request: Mapping[str, Any], library: str) -> bool:
    """Turn this process into a command; return whether that was all."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    output = Path(request["output"])
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        made = os.open(output / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(made, descriptor)
        os.close(made)
    stdin = os.open(request["stdin"], os.O_RDONLY)
    os.dup2(stdin, 0)
    os.close(stdin)
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.argv = ["vecformer", *request["argv"]]
    if not request["draws"]:
        _draw_nothing()
    if request["memory"]:
        limit_memory(request["memory"])
    if request["call"]:
        module, _, function = request["call"].partition(":")
        if getattr(importlib.import_module(module), function)():
            return True
    if request["watch"] and library:
        trace = os.open(output / "trace", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        ctypes.CDLL(library).faults_arm(
            os.fsencode(request["watch"]), ctypes.c_long(request["step"]), request["signal"], request["error"],
            int(request["lasting"]), int(request["reads"]), trace)
    return False


def main() -> None:
    """Serve; in a forked child, run the command."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until a child is the command
    connection, library = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    _import_everything()
    request = _serve(connection)
    before = set(sys.modules)
    output = Path(request["output"])
    if _become(request, library):
        _teach(output, before)
        sys.stdout.flush()
        os._exit(0)  # saves the time of an orderly end
    from pipeline.cli.main import main as command_line

    code: Any = 0
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command_line()
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
        code = 1
    _teach(output, before)
    _end(code if isinstance(code, int) else int(code is not None))


def _end(code: int) -> None:
    """End like an interpreter, but do not destroy a million objects first."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _teach(output: Path, before: set[str]) -> None:
    """Tell the server which modules this process has imported."""
    if new := set(sys.modules) - before:
        (output.parent / f"modules-{os.getpid()}").write_text("\n".join(sorted(new)))


if __name__ == "__main__":
    main()
