"""A group of commands whose files are imported when the command, or the list of them, is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import rich_click as click


class LazyGroup(click.RichGroup):
    """Finds ``NAME_command`` in the module ``NAME`` of a package.

    Args:
        package: where the modules are.
        names: the commands, in the order in which a newcomer meets them.
    """

    def __init__(self, *args: Any, package: str, names: Sequence[str], **more: Any) -> None:
        super().__init__(*args, **more)
        self.package = package
        self.names = tuple(names)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in order."""
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self.names:
            return None
        command: click.Command = getattr(importlib.import_module(f"{self.package}.{cmd_name}"), f"{cmd_name}_command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or say which one was meant."""
        if args and args[0] not in self.names and not args[0].startswith("-"):
            from embeddings.specification.suggest import did_you_mean

            raise click.UsageError(f"there is no command {args[0]!r}.{did_you_mean(args[0], self.names)}", ctx)
        return super().resolve_command(ctx, args)
