"""The entry point ``vecformer``. A command's file is imported when the command, or the list of them, is asked for."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import Any

import rich_click as click

COMMANDS = ("run", "config", "evaluate", "predict", "sources", "demo")


class LazyGroup(click.RichGroup):
    """Finds ``NAME_command`` in ``pipeline.cli.NAME``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"pipeline.cli.{cmd_name}"), f"{cmd_name}_command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or say which one was meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from embeddings.suggest import did_you_mean

            raise click.UsageError(f"there is no command {args[0]!r}.{did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

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


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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
