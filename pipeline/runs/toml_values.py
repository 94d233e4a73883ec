"""Parsing of TOML, the limits of the values that a configuration can have, and the written form of paths in them."""

from __future__ import annotations

import tomllib
from collections.abc import Container, Mapping
from typing import Any

from embeddings.specification.grammar import written_specification
from embeddings.table.paths import from_written, is_utf8, written
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
    if isinstance(value, str) and not is_utf8(value):
        return ("has bytes that are not UTF-8 and are not the path of an existing file; correct it, or write the path "
                "as a URI, such as file:///home/me/caf%E9.csv")
    return ""


def storable(
    values: Mapping[str, Any], paths: Container[str], specifications: Container[str], prefix: str = ""
) -> dict[str, Any]:
    """Return nested values in which paths that are not UTF-8 have their written form.

    Args:
        values: the values of a configuration, which may have any type.
        paths: dotted keys of paths, or of lists of paths.
        specifications: dotted keys of specifications that may contain paths.
        prefix: the section of the values, with a dot at the end.

    Raises:
        ConfigError: if a ``file://`` URI is not that of a file on this machine.
    """
    return {key: _storable(value, f"{prefix}{key}", paths, specifications) for key, value in values.items()}


def _storable(value: Any, key: str, paths: Container[str], specifications: Container[str]) -> Any:
    if isinstance(value, Mapping):
        return storable(value, paths, specifications, f"{key}.")
    if isinstance(value, list | tuple):
        return type(value)(_storable(entry, key, paths, specifications) for entry in value)
    if not isinstance(value, str):
        return value
    try:
        if key in paths:
            path = from_written(value)
            return value if is_utf8(value) else written(path)
        return written_specification(value) if key in specifications else value
    except UnicodeEncodeError:  # surrogates that are not bytes, which check_values reports
        return value
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from error


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
    if is_utf8(text):  # otherwise its key decides what may have such bytes, and the whole configuration is checked
        check_values(parsed, where=where)
    return parsed["value"] if len(parsed) == 1 else None
