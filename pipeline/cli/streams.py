"""The process of the command line: standard streams, encodings and signals."""

from __future__ import annotations

import codecs
import os
import signal
import sys
import traceback
from types import TracebackType
from typing import Any, BinaryIO

from pipeline.drawing.terminal import visible

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

_closed: set[str] = set()  # standard streams that were closed when the process started
_stopped_by: list[int] = []


def exit_code_of_stop() -> int:
    """Return the exit code of a command that was stopped: 128 + the number of the signal."""
    return 128 + (_stopped_by[0] if _stopped_by else signal.SIGINT)


def standard_input() -> BinaryIO:
    """Return standard input.

    Raises:
        DataError: if it is closed.
    """
    from pipeline.errors import DataError

    if "stdin" in _closed:
        raise DataError("standard input is closed; give texts as arguments or with --file")
    return sys.stdin.buffer


def require_output() -> None:
    """Require that results can be printed.

    Raises:
        DataError: if standard output is closed.
    """
    from pipeline.errors import DataError

    if "stdout" in _closed:
        raise DataError("standard output is closed; redirect it to a file")


def prepare_process() -> None:
    """Set up the standard streams and signals, and read arguments, paths and files as UTF-8 in the C locale."""
    _restart_in_utf8_mode()
    _open_closed_streams()
    codecs.register_error("vecformer", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="vecformer")
    sys.excepthook = _print_exception
    for number in STOP_SIGNALS:
        if signal.getsignal(number) == signal.SIG_DFL:  # ignored under nohup
            signal.signal(number, _stop)


def _stop(number: int, _frame: Any) -> None:
    """Interrupt the command as Ctrl-C does; later signals do not interrupt the clean-up."""
    _stopped_by.append(number)
    for other in STOP_SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def ignore_signals() -> None:
    """Ignore further interrupts: the command has ended, and the interpreter is cleaning up."""
    for number in (signal.SIGINT, *STOP_SIGNALS):
        signal.signal(number, signal.SIG_IGN)


def _restart_in_utf8_mode() -> None:
    """Restart Python in UTF-8 mode if it decodes arguments and paths as ASCII (C locale, with PYTHONUTF8=0)."""
    is_ascii = codecs.lookup(sys.getfilesystemencoding()).name == "ascii"
    if is_ascii and not sys.flags.utf8_mode and sys.executable and sys.orig_argv[1:]:
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.orig_argv[0], "-X", "utf8", *sys.orig_argv[1:]])


def _open_closed_streams() -> None:
    """Open the null device as each closed standard stream.

    Otherwise the next file that is opened would get its number, and output of a library would be written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            _closed.add(name)
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Encode characters that the terminal's encoding lacks as escapes of JSON."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)), error.end


def _print_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of a bug, without the control characters that its message may have."""
    sys.stderr.write(visible("".join(traceback.format_exception(kind, error, trace))))
