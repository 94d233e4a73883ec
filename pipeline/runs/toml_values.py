"""Parsing of TOML, and the limits of the values that a configuration can have."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError, brief

MAX_DEPTH = 16  # levels of nested tables and arrays; a configuration has three


def parse_toml(text: str, *, where: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ConfigError: if it is not TOML, or has values that no configuration has (:func:`check_values`).
    """
    try:
        values = tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(f"{where}: cannot read the configuration: values are nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        twice = " (a key or table is given twice)" if "overwrite" in str(error) or "twice" in str(error) else ""
        raise ConfigError(f"{where}: cannot read the configuration: {error}{twice}") from error
    except ValueError as error:  # Python limits the digits of an integer
        raise ConfigError(f"{where}: cannot read the configuration: a number has too many digits") from error
    check_values(values, where=where)
    return values


def check_values(values: Mapping[str, Any], *, where: str) -> None:
    """Check that values can be stored and used: their depth, the size of numbers, the characters of strings.

    Raises:
        ConfigError: if tables or arrays are nested more than 16 levels deep, an integer has more than 64 bits, or
            a string is not valid Unicode.
    """
    level: list[tuple[str, Any]] = list(values.items())
    for _ in range(MAX_DEPTH):
        deeper: list[tuple[str, Any]] = []
        for key, value in level:
            problem = _problem(key) or _problem(value)
            if problem:
                raise ConfigError(f"{where}: {brief(key).strip(chr(39))} = {brief(value)}: {problem}")
            if isinstance(value, Mapping):
                deeper += [(f"{key}.{name}", inner) for name, inner in value.items()]
            elif isinstance(value, list | tuple):
                deeper += [(key, inner) for inner in value]
        level = deeper
    if level:
        raise ConfigError(f"{where}: {brief(level[0][0])}: values are nested more than {MAX_DEPTH} levels deep")


def _problem(value: Any) -> str:
    """Return why no configuration can have a value; "" if it can."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "an integer of more than 64 bits; write a smaller number"
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return "has bytes that are not UTF-8, which a configuration cannot store; rename the file or folder"
    return ""


def parse_value(text: str, *, where: str) -> Any:
    """Parse one value of TOML; return None for text that is not TOML.

    Raises:
        ConfigError: if it has a value that no configuration has (:func:`check_values`).
    """
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return None
    except (RecursionError, ValueError) as error:  # nested too deeply; an integer of more than 4,300 digits
        raise ConfigError(f"{where}: this value cannot be read; write a shorter one") from error
    check_values(parsed, where=where)
    return parsed["value"] if len(parsed) == 1 else None
