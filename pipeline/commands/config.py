"""Write a configuration file with all defaults."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import tomli_w

from pipeline.config import keys
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


def commented_toml(task: str = "", without: Container[str] = ()) -> str:
    """Return a configuration file with all defaults, each key preceded by its help.

    Args:
        task: value of the key ``task``; "" for the default.
        without: keys to leave out.
    """
    lines = ["# All keys with their defaults. Use with: vecformer run FILE"]
    section = ""
    for key, item in keys():
        if key in without:
            continue
        head, _, name = key.rpartition(".")
        if head != section:
            section = head
            lines += ["", f"[{section}]"]
        lines += [f"# {item.metadata['help']}", _one_line(name, task if key == "task" and task else item.default)]
    return "\n".join(lines) + "\n"


def _one_line(name: str, value: Any) -> str:
    if isinstance(value, tuple):  # tomli_w puts each entry of an array on a separate line
        return f"{name} = [{', '.join(tomli_w.dumps({'': entry}).partition(' = ')[2].strip() for entry in value)}]"
    return tomli_w.dumps({name: value}).strip()
