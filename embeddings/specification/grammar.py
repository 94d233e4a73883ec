"""The small grammar that sources and transforms are written in: ``name[:value][,key=value…]``, with parentheses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from embeddings.errors import SpecificationError
from embeddings.specification.suggest import did_you_mean

OPTION = re.compile(r",(?=\s*[A-Za-z_]\w*\s*=)")
"""A comma before ``key=``; any other comma may belong to a path."""
COMMA = re.compile(r",(?!\s*[A-Za-z_]\w*\s*=)")
"""A comma between two sources."""


def split_top_level(text: str, separator: re.Pattern[str]) -> list[str]:
    """Cut at each separator that stands outside parentheses."""
    start, pieces = 0, []
    outside = _outside(text)
    for match in separator.finditer(text):
        if outside[match.start()]:
            pieces.append(text[start : match.start()])
            start = match.end()
    return [piece.strip() for piece in (*pieces, text[start:])]


def strip_parentheses(text: str) -> str:
    """Take off parentheses that go around the whole text."""
    while text.startswith("(") and text.endswith(")") and not any(_outside(text)[:-1]):
        text = text[1:-1].strip()
    return text


def options(cls: type) -> dict[str, Any]:
    """The options of a dataclass and their defaults; one that must be given, such as a path, has None."""
    return {item.name: None if item.default is MISSING else item.default for item in fields(cls)}


def split_options(pairs: list[str]) -> dict[str, str]:
    """Read ``key=value`` pairs."""
    cut_pairs = (pair.partition("=") for pair in pairs)
    return {key.strip(): strip_parentheses(value.strip()) for key, _, value in cut_pairs}


def build(what: str, cls: type, given: Mapping[str, Any], *, positional: str) -> Any:
    """Make a dataclass of options that were written as text.

    Args:
        what: such as ``source 'glove'``, for messages.
        cls: the dataclass.
        given: its options.
        positional: the option that is written behind the colon.

    Raises:
        SpecificationError: if an option is unknown, has a wrong value or is missing.
    """
    known = options(cls)
    for key in given:
        if key not in known:
            has = ", ".join(option for option in known if option not in (positional, "parts")) or "none"
            raise SpecificationError(f"{what} has no option {key!r}.{did_you_mean(key, known)} It has: {has}")
    try:
        return TypeAdapter(cls).validate_python(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            raise SpecificationError(f"{what} needs a {key} after a colon") from error
        where = f"option {key}={first['input']}: " if key else ""
        raise SpecificationError(f"{what}: {where}{first['msg'].removeprefix('Value error, ')}") from error


def _outside(text: str) -> list[bool]:
    """For each character whether it stands outside parentheses; everywhere, if they do not pair (as in a path)."""
    depths = list(_depths(text))
    if not depths or depths[-1] or min(depths) < 0:
        return [True] * len(text)
    return [depth == 0 for depth in depths]


def _depths(text: str) -> Iterator[int]:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        yield depth
