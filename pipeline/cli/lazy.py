"""A group of commands that are imported when they are used or listed."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import rich_click as click

from pipeline.cli.paths import CheckedPath


class LazyGroup(click.RichGroup):
    """Find the command ``NAME_command`` in the module ``NAME`` of a package.

    Every such module is a command; other modules of the package are ignored.

    Args:
        package: import path of the package.
        names: order of the known commands in the help; all others follow in alphabetical order.
    """

    def __init__(self, *args: Any, package: str, names: Sequence[str] = (), **more: Any) -> None:
        super().__init__(*args, **more)
        self.package, self.order = package, tuple(names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all commands, in the order of the help."""
        spec = find_spec(self.package)
        found = {module.name for module in pkgutil.iter_modules(spec.submodule_search_locations if spec else ())}
        known = [name for name in self.order if name in found]
        others = (name for name in sorted(found - set(known)) if self._load(name) is not None)
        return (*known, *others)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; return None if there is no such command."""
        return self._load(cmd_name) if cmd_name in self.order or cmd_name in self.names else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command of the arguments.

        Raises:
            UsageError: if there is none; the message suggests the nearest.
        """
        if args and not args[0].startswith("-") and args[0] not in self.order and args[0] not in self.names:
            from embeddings.specification.suggest import did_you_mean

            raise click.UsageError(f"there is no command {args[0]!r}.{did_you_mean(args[0][:100], self.names)}", ctx)
        return super().resolve_command(ctx, args)

    def _load(self, name: str) -> click.Command | None:
        module = importlib.import_module(f"{self.package}.{name}")
        command: click.Command | None = getattr(module, f"{name}_command", None)
        for parameter in command.params if command else ():
            if type(parameter.type) is click.Path:
                parameter.type = CheckedPath.like(parameter.type)
        return command
