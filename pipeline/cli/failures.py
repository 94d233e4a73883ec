"""The one message of a failed command: what failed, where, and what to do."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import traceback
from pathlib import Path
from typing import IO, Any

import rich_click as click

from pipeline.drawing.terminal import bounded, visible

WRONG_INPUT, WRONG_USE = 1, 2
TRACEBACK_VARIABLE = "VECFORMER_TRACEBACK"  # set to print the traceback of every failure
FULL = (errno.ENOSPC, errno.EDQUOT)
NEARLY_FULL = 2**20  # bytes
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "cannot allocate memory")  # messages of torch


class Failure(click.ClickException):
    """An error message with an exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class


def show(error: click.ClickException, file: IO[str] | None = None) -> None:
    """Print an error: the usage for a wrong option, and the message, shortened and without control characters."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        click.echo(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n", err=True)
    click.echo(f"Error: {visible(bounded(error.format_message()))}", err=True)


def failure_of(error: BaseException) -> Failure | None:
    """Return the message of an error that the user can correct; None for others, which are bugs."""
    if isinstance(error, BrokenPipeError):
        return None  # `vecformer predict … | head`: click exits silently
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return Failure("not enough memory; free some, or use less: a smaller --set training.batch_size, "
                       "--set data.max_length or model, fewer texts at once, or fewer vectors "
                       "(limit=N in the source)", WRONG_INPUT)
    if isinstance(error, RecursionError):
        return Failure("the input is nested too deeply: write fewer parentheses or brackets inside each other",
                       WRONG_INPUT)
    if isinstance(error, UnicodeEncodeError):
        around = error.object[max(0, error.start - 60) : error.end + 20]
        return Failure(f"{around!r}: the name or text cannot be encoded as UTF-8; "
                       "rename the file, or correct the text", WRONG_INPUT)
    return _package_failure(error) or (_system_failure(error) if isinstance(error, OSError) else None)


def _package_failure(error: BaseException) -> Failure | None:
    """Return the message of an exception of the packages."""
    from safetensors import SafetensorError

    from embeddings.errors import EmbeddingError, SpecificationError
    from pipeline.errors import ConfigError, PipelineError
    from transformer.errors import TransformerError

    if isinstance(error, ConfigError | SpecificationError):
        return Failure(str(error), WRONG_USE)
    if isinstance(error, PipelineError | EmbeddingError | TransformerError):
        return Failure(str(error), WRONG_INPUT)
    if isinstance(error, SafetensorError):
        if any(f"os error {code}" in str(error) for code in FULL):
            return Failure(_full(None), WRONG_INPUT)
        return Failure(f"cannot write: {error}", WRONG_INPUT)
    if type(error) is ValueError and str(error) == "embedded null byte":
        return Failure("a path contains a null character; correct it", WRONG_INPUT)
    return None


def _system_failure(error: OSError) -> Failure:
    """Return the message of an error of the operating system."""
    if error.errno in FULL:
        return Failure(_full(error.filename), WRONG_INPUT)
    where = " and ".join(bounded(os.fsdecode(name), 1000) for name in (error.filename, error.filename2)
                         if isinstance(name, str | bytes))
    return Failure(f"{where}{': ' if where else ''}{error.strerror or error}", WRONG_INPUT)


def _full(filename: Any) -> str:
    """Return the message for a full device: the file, if it is known, or else the folders that are full."""
    places = [os.fsdecode(filename)] if isinstance(filename, str | bytes) else list(map(str, full_folders()))
    where = f"{', '.join(places)}: " if places else ""
    return f"{where}no space left on the device; free some, or write elsewhere (--out, --to, TMPDIR)"


def full_folders() -> list[Path]:
    """Return the folders that the command writes to and whose device is almost full."""
    context = click.get_current_context(silent=True)
    given = [value for value in (context.params.values() if context else ()) if isinstance(value, Path)]
    folders = {path if path.is_dir() else path.parent for path in given} | {Path(tempfile.gettempdir()), Path.cwd()}
    return sorted(folder for folder in folders if folder.is_dir() and shutil.disk_usage(folder).free < NEARLY_FULL)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(part in str(error).lower() for part in OUT_OF_MEMORY)


def print_traceback(error: BaseException) -> None:
    """Print the traceback of an error that is reported as one message."""
    click.echo(visible("".join(traceback.format_exception(error))), err=True, nl=False)
