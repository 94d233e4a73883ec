"""The entry point ``vecformer``."""

from __future__ import annotations

import signal
import sys
from typing import Any

import rich_click as click

from pipeline.cli.lazy import LazyGroup

COMMANDS = ("run", "config", "evaluate", "predict", "generate", "inspect", "export", "embed", "sources", "benchmark",
            "compare", "demo")


class Root(LazyGroup):
    """The group of all commands, which says in one line what went wrong."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run, and print what went wrong on a line of its own: a path in it stays whole, unlike in a box."""
        try:
            code = super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        except click.ClickException as error:
            if not standalone_mode:
                raise
            error.show()
            sys.exit(error.exit_code)
        except click.Abort:
            if not standalone_mode:
                raise
            click.echo("Error: interrupted; nothing was written", err=True)
            sys.exit(130)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


@click.group(cls=Root, package="pipeline.cli", names=COMMANDS,
             context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="vecformer", help="Print the version and exit.")
def cli() -> None:
    """Turn word vectors into a Transformer's starting point, train it, and measure what the vectors were worth.

    \b
    vecformer run --data reviews.tsv --source glove+word2vec --out runs/reviews
    vecformer predict runs/reviews "A quiet, lovely film."
    """


def main() -> None:
    """Run the command line; a polite kill cleans up as Ctrl-C does."""

    def stop(_signal: int, _frame: Any) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    cli(prog_name="vecformer")
