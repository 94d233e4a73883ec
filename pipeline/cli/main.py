"""The entry point ``vecformer``."""

from __future__ import annotations

import sys
from typing import Any

import rich_click as click

from pipeline.cli.common import logging_to_terminal
from pipeline.cli.failures import failure_of, show
from pipeline.cli.lazy import LazyGroup
from pipeline.cli.streams import exit_code_of_stop, ignore_signals, prepare_process

ORDER = ("run", "pretrain", "recipe", "config", "evaluate", "predict", "suggest", "explain", "generate", "serve",
         "inspect", "export", "transplant", "embed", "sources", "tasks", "rank", "benchmark", "compare", "demo",
         "completion")


class Root(LazyGroup):
    """The group of all commands; prints errors as plain lines."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line; an error message is not wrapped in a box, so that paths can be copied."""
        try:
            with logging_to_terminal():
                code = super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        except click.Abort:
            if not standalone_mode:
                raise
            click.echo("Error: interrupted", err=True)
            sys.exit(exit_code_of_stop())
        except Exception as error:
            failure = error if isinstance(error, click.ClickException) else failure_of(error)
            if not standalone_mode or failure is None:
                raise
            show(failure)
            sys.exit(failure.exit_code)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


@click.group(cls=Root, package="pipeline.cli", names=ORDER,
             context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="vecformer", help="Print the version and exit.")
def cli() -> None:
    """Initialise a Transformer with word vectors, train it, and measure the benefit of the vectors.

    \b
    vecformer run --data reviews.tsv --source glove+word2vec --out runs/reviews
    vecformer predict runs/reviews "A quiet, lovely film."
    """


def main() -> None:
    """Run the command line; SIGTERM cleans up like an interrupt from the keyboard."""
    prepare_process()
    try:
        cli(prog_name="vecformer")
    finally:
        ignore_signals()
