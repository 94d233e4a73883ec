"""Shared by the commands: verbosity, error messages, tables."""

from __future__ import annotations

import errno
import functools
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

if TYPE_CHECKING:
    from pipeline.drawing.notation import Notation

F = TypeVar("F", bound=Callable[..., Any])

WRONG_INPUT, WRONG_USE, INTERRUPTED = 1, 2, 130


class Failure(click.ClickException):
    """An error message with an exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class


def reports_errors(command: F) -> F:
    """Print errors that the user can correct as one message; all others are bugs and keep their traceback."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt as stop:
            raise Failure(f"interrupted; {str(stop) or 'nothing was written'}", INTERRUPTED) from None
        except Exception as error:
            failure = _failure(error)
            if failure is None:
                raise
            raise failure from error

    return wrapped  # type: ignore[return-value]


def _failure(error: Exception) -> Failure | None:
    from safetensors import SafetensorError

    from embeddings.errors import EmbeddingError, SpecificationError
    from pipeline.errors import ConfigError, PipelineError
    from transformer.errors import TransformerError

    if isinstance(error, BrokenPipeError):
        return None  # `vecformer predict … | head`: click exits silently
    if isinstance(error, ConfigError | SpecificationError):
        return Failure(str(error), WRONG_USE)
    if isinstance(error, PipelineError | EmbeddingError | TransformerError):
        return Failure(str(error), WRONG_INPUT)
    full = f"os error {errno.ENOSPC}" in str(error) or getattr(error, "errno", None) == errno.ENOSPC
    if full:
        message = "no space left on the device; free some, or choose another --out"
        return Failure(message, WRONG_INPUT)
    if isinstance(error, SafetensorError):
        return Failure(f"cannot write the run: {error}", WRONG_INPUT)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Failure(f"{where}{error.strerror or error}", WRONG_INPUT)
    return None


def verbosity(command: F) -> F:
    """Add ``--quiet`` and ``--verbose``, which configure logging; the command receives ``quiet``."""

    @click.option("-q", "--quiet", is_flag=True, help="Print results and errors only: no progress bars, no warnings.")
    @click.option("-v", "--verbose", is_flag=True, help="Log what is done: vocabulary, epochs, losses.")
    @functools.wraps(command)
    def wrapped(*args: Any, quiet: bool, verbose: bool, **kwargs: Any) -> Any:
        level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
        logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr, force=True)
        logging.getLogger("vecformer").setLevel(level)
        logging.getLogger("vecformer.data").setLevel(min(level, logging.INFO) if not quiet else level)
        return command(*args, quiet=quiet, **kwargs)

    return wrapped  # type: ignore[return-value]


def one_or_all(names: Sequence[str]) -> str | tuple[str, ...]:
    """Return the value of an option that is given once as a string, otherwise all its values."""
    return names[0] if len(names) == 1 else tuple(names)


def against(comparison: Mapping[str, Any] | None, notation: Notation) -> list[str]:
    """Return the table cells of a comparison: difference with interval, p-value, verdict; empty for None."""
    from pipeline.benchmark.analysis.statistics import p_value

    if comparison is None:
        return ["", "", ""]
    within = f" [{notation.interval(comparison['interval'])}]" if comparison["interval"] else ""
    return [notation.difference(comparison["difference"]) + within, p_value(comparison["p_holm"]),
            comparison["verdict"]]


def seeds_advice(found: Mapping[str, Any]) -> str:
    """Return the number of seeds needed, for comparisons with too few."""
    counted = f"{found['n_comparisons']} comparisons need" if found["n_comparisons"] > 1 else "One comparison needs"
    return f"{counted} at least {found['seeds_needed']} common seeds."


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format cells in columns, the first one left-aligned and the others right-aligned."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )
