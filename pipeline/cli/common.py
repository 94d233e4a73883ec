"""Shared by the commands: output, verbosity, error messages, tables."""

from __future__ import annotations

import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import rich_click as click

from pipeline.cli.failures import TRACEBACK_VARIABLE, Failure, failure_of, print_traceback
from pipeline.cli.streams import exit_code_of_stop
from pipeline.drawing.terminal import STYLES, Piece, cell, in_colour, visible
from pipeline.telemetry.progress import VisibleFormatter

if TYPE_CHECKING:
    from pipeline.drawing.notation import Notation

F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger("vecformer")


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a result, with control characters as visible escapes; every command prints by this function."""
    try:
        click.echo(visible(text), err=err, nl=nl)
    except OSError as error:
        if error.filename is None and not isinstance(error, BrokenPipeError):
            error.filename = "standard error" if err else "standard output"
        raise


def echo_pieces(pieces: Sequence[Piece], *, nl: bool = True, err: bool = False) -> None:
    """Print styled pieces of text: in colour on a terminal, and as plain text elsewhere."""
    stream = sys.stderr if err else sys.stdout
    if not in_colour(stream):
        echo("".join(text for text, _ in pieces), nl=nl, err=err)
        return
    click.echo("".join(click.style(visible(text), **STYLES[style]) if style else visible(text)
                       for text, style in pieces), nl=nl, err=err, color=True)


def echo_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print cells in columns, as :func:`table` formats them; the header is bold on a terminal."""
    echo_blocks(table(header, rows))


def echo_blocks(text: str) -> None:
    """Print text whose blocks are separated by blank lines; the first line of a table is bold on a terminal."""
    pieces: list[Piece] = []
    for number, block in enumerate(text.split("\n\n")):
        first, end, rest = block.partition("\n")
        is_table = "  " in first.strip() and bool(end)
        pieces += [("\n\n" * bool(number), ""), (first, "header" * is_table), (end + rest, "")]
    echo_pieces(pieces)


def reports_errors(command: F) -> F:
    """Print errors that the user can correct as one message; all others are bugs and keep their traceback.

    Messages name options of the command line.

    The traceback of the former is printed with ``--verbose``, if the packages did not expect them, and for all of them
    if the environment variable ``VECFORMER_TRACEBACK`` is set.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from embeddings.table.arguments import for_command_line

        try:
            with for_command_line():
                return command(*args, **kwargs)
        except KeyboardInterrupt as stop:
            raise Failure("; ".join(["interrupted", *filter(None, [str(stop)])]), exit_code_of_stop()) from None
        except click.ClickException:
            raise
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            unexpected = isinstance(error, OSError | MemoryError | RecursionError | UnicodeError | RuntimeError)
            if os.environ.get(TRACEBACK_VARIABLE) or (unexpected and log.isEnabledFor(logging.INFO)):
                print_traceback(error)
            raise failure from error

    return wrapped  # type: ignore[return-value]


@contextmanager
def logging_to_terminal() -> Iterator[None]:
    """Print log messages, and the warnings of libraries on one line each, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(message)s"))
    logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)
    log.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.showwarning = _log_warning
        yield


def _log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning of a library with its message and place."""
    package = "/".join(Path(filename).parts[-2:])
    log.warning("%s: %s (%s:%d)", category.__name__, " ".join(str(message).split()), package, lineno)


def verbosity(command: F) -> F:
    """Add ``--quiet`` and ``--verbose``, which configure logging; the command receives ``quiet``."""

    @click.option("-q", "--quiet", is_flag=True, help="Print results and errors only: no progress bars, no warnings.")
    @click.option("-v", "--verbose", is_flag=True, help="Log what is done: vocabulary, epochs, losses.")
    @functools.wraps(command)
    def wrapped(*args: Any, quiet: bool, verbose: bool, **kwargs: Any) -> Any:
        level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
        log.setLevel(level)
        logging.getLogger("vecformer.data").setLevel(min(level, logging.INFO) if not quiet else level)
        if quiet:
            warnings.simplefilter("ignore")  # until logging_to_terminal ends
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
    lines = [[cell(text) for text in line] for line in (header, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                  for i, (text, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )
