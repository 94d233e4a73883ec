"""Write a configuration file with all defaults."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import commented_toml
from pipeline.drawing.page import write_whole
from pipeline.errors import ConfigError


def default_configuration(task: str = "") -> str:
    """Return the configuration as commented TOML.

    Args:
        task: leave out the keys that this task does not read; "" for all keys.

    Raises:
        ConfigError: if there is no such task.
    """
    if not task:
        return commented_toml()
    from pipeline.tasks.base import foreign_keys

    return commented_toml(task, without=foreign_keys(task))


def write_configuration(file: Path, *, task: str = "", overwrite: bool = False) -> None:
    """Write :func:`default_configuration` to a file.

    Raises:
        ConfigError: if the file exists and ``overwrite`` is not set, or there is no such task.
    """
    if file.exists() and not overwrite:
        raise ConfigError(f"{file}: already exists; choose another name, or replace it with --overwrite")
    write_whole(file, default_configuration(task).encode())
