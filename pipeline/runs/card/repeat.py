"""The command that repeats a run, from its configuration."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import reduce
from typing import Any

import tomli_w

from pipeline.config import RunConfig, changed_keys
from pipeline.runs.toml_values import parse_toml

OPTIONS = {"data.path": "--data", "task": "--task", "source": "--source", "seed": "--seed"}
"""Keys that have an option of their own; others are set by ``--set``."""


def repeating_command(config: RunConfig, *, out: str) -> str:
    """Return the ``vecformer run`` command of a configuration as requested, with its keys that are not defaults.

    Args:
        config: the configuration as requested.
        out: the folder that the command creates.
    """
    values = parse_toml(config.to_toml(), where="the configuration")  # paths in their written form
    words = ["vecformer", "run"]
    for key in sorted(changed_keys(config), key=lambda key: list(OPTIONS).index(key) if key in OPTIONS else 99):
        value = reduce(lambda inner, name: inner[name], key.split("."), values)
        words += [OPTIONS[key], str(value)] if key in OPTIONS else ["--set", f"{key}={_as_toml(value)}"]
    return shlex.join([*words, "--out", out])


def _as_toml(value: Any) -> str:
    """Write a value of TOML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(_on_one_line({key: inner}) for key, inner in value.items()) + "}"
    return _on_one_line({"value": value}).removeprefix("value = ")


def _on_one_line(values: Mapping[str, Any]) -> str:
    return " ".join(line.strip() for line in tomli_w.dumps(values).splitlines())
