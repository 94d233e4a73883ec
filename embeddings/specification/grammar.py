"""The grammar of sources and transforms: ``name[:value][,key=value…]``, with parentheses for grouping.

A value in double quotes, or a character after a backslash, is taken as it is; and of a value that begins with the path
of an existing file, the longest such path is one value: ``file:"a,limit=5.txt",limit=9`` names ``a,limit=5.txt``.
A path can be a ``file://`` URI, and must be one where it is not UTF-8 (:func:`written_specification`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from embeddings.compressed_files import existing
from embeddings.errors import SpecificationError
from embeddings.specification.suggest import did_you_mean
from embeddings.table.paths import URI, from_written, is_utf8, written
from embeddings.table.validation import validated

OPTION = re.compile(r",(?=\s*[A-Za-z_]\w*\s*=)")
"""A comma before ``key=``; any other comma may belong to a path."""
COMMA = re.compile(r",(?!\s*[A-Za-z_]\w*\s*=)")
"""A comma between two sources."""
QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
ESCAPE = re.compile(r"""\\([,+=:()"\\\s])""")
PARTS, SPECIFICATION = "parts", "specification"
"""Fields that the parser sets: the inner sources, and the specification as the user wrote it."""


def split_top_level(text: str, separator: re.Pattern[str]) -> list[str]:
    """Split at each separator outside parentheses, and strip the pieces."""
    start, pieces = 0, []
    masked = _masked(text)
    outside = _outside(masked)
    for match in separator.finditer(masked):
        if outside[match.start()]:
            pieces.append(text[start : match.start()])
            start = match.end()
    return [piece.strip() for piece in (*pieces, text[start:])]


def strip_parentheses(text: str) -> str:
    """Remove parentheses that enclose the whole text."""
    while (masked := _masked(text)).startswith("(") and masked.endswith(")") and not any(_outside(masked)[:-1]):
        text = text[1:-1].strip()
    return text


def options(cls: type) -> dict[str, Any]:
    """Return a dataclass's options and their defaults; a required option, such as a path, has None."""
    return {item.name: None if item.default is MISSING else item.default
            for item in fields(cls) if item.name not in (PARTS, SPECIFICATION)}


def descriptions(cls: type) -> dict[str, str]:
    """Return the description of each option: ``Field(description=…)`` in its annotation, or an empty string."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: next((item.description for item in getattr(hints[name], "__metadata__", ())
                        if isinstance(item, FieldInfo) and item.description), "") for name in options(cls)}


def takes_parts(cls: type) -> bool:
    """Return whether a source consists of others, ``name(A,B)``."""
    return any(item.name == PARTS for item in fields(cls))


def split_options(pairs: list[str]) -> dict[str, str]:
    """Parse ``key=value`` pairs."""
    split_pairs = (pair.partition("=") for pair in pairs)
    return {key.strip(): strip_parentheses(value.strip()) for key, _, value in split_pairs}


def build(
    what: str, cls: type, given: Mapping[str, str], *, positional: str, parsed: Mapping[str, Any] | None = None
) -> Any:
    """Construct a dataclass from options given as text.

    Args:
        what: what is built, for messages: ``source 'glove'``.
        cls: the dataclass.
        given: options as text.
        positional: the option that is written after the colon.
        parsed: values of the fields that are no options (``parts``, ``specification``).

    Raises:
        SpecificationError: if an option is unknown, invalid or missing.
    """
    known = options(cls)
    for key in given:
        if key not in known:
            names = ", ".join(option for option in known if option != positional) or "none"
            raise SpecificationError(f"{what} has no option {key!r}.{did_you_mean(key, known)} It has: {names}")
    paths = {"path", *(name for name, hint in get_type_hints(cls).items() if Path in (hint, *get_args(hint)))}
    try:
        values = {key: unquoted(value, is_path=key in paths) for key, value in given.items()}
    except ValueError as error:
        raise SpecificationError(f"{what}: {error}") from error
    try:
        return validated(cls, {**values, **(parsed or {})})
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            raise SpecificationError(f"{what} needs a {key} after a colon") from error
        where = f"option {key}={first['input']}: " if key else ""
        raise SpecificationError(f"{what}: {where}{first['msg'].removeprefix('Value error, ')}") from error


def quoted(path: str | Path) -> str:
    """Return a path as it is written in a specification: in quotes if it begins or ends like other syntax."""
    path = written(path)
    if path == path.strip() and not path.startswith(("\"", "(")):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(value: str, *, is_path: bool) -> str:
    """Return a value without its quotes and, if it is a path, without backslashes before other syntax.

    An existing path is returned as it is, and a ``file://`` URI as its path.

    Raises:
        ValueError: if a URI is not that of a file on this machine.
    """
    if is_path and not value.startswith(URI) and existing(value) is not None:
        return value
    whole = QUOTED.fullmatch(value)
    plain = ESCAPE.sub(r"\1", whole[1] if whole else value) if whole or is_path else value
    return from_written(plain) if is_path else plain


def written_specification(text: str) -> str:
    r"""Return a specification in which each path of an existing file that is not UTF-8 is a ``file://`` URI.

    Example:
        ``file:caf\xe9.txt,limit=5`` becomes ``file:file:///home/me/caf%E9.txt,limit=5``.
    """
    if is_utf8(text):
        return text
    made, place, before = "", 0, ""
    while place < len(text):
        end, path = _existing_path(text[place:]) if before in (":", "=") else (0, None)
        if path is not None and not is_utf8(str(path)):
            made, place, before = made + written(path), place + end, "_"
        else:
            before = text[place] if not text[place].isspace() else before
            made, place = made + text[place], place + 1
    return made


def _existing_path(text: str) -> tuple[int, Path | None]:
    """Return the longest existing path at the start of a text, quoted, escaped or plain, and its length there."""
    quotes = QUOTED.match(text)
    if quotes:
        return quotes.end(), existing(ESCAPE.sub(r"\1", quotes[1]))
    ends = [len(text), *(place for place, character in reversed([*enumerate(text)]) if character in ",+)!")]
    for plain in (text[:end].rstrip() for end in ends):
        for path in dict.fromkeys((plain, ESCAPE.sub(r"\1", plain))):
            if path and not path[0].isspace() and (found := existing(path)) is not None:
                return len(plain), found
    return 0, None


def _masked(text: str) -> str:
    """Replace the characters of quotes, escapes and existing paths by ``_``, so that none of them is syntax."""
    masked, place, before = list(text), 0, "("
    while place < len(text):
        end = place
        escape = ESCAPE.match(text, place)
        if escape:
            end = escape.end()
        elif before in "(,+=:":
            quotes = QUOTED.match(text, place)
            end = quotes.end() if quotes else place + _length_of_path(text[place:]) if before in ":=" else place
        if end > place:
            masked[place:end] = "_" * (end - place)
            before = "_"
        elif not text[place].isspace():
            before = text[place]
        place = max(end, place + 1)
    return "".join(masked)


def _length_of_path(text: str) -> int:
    """Return the length of the longest existing path at the start of a text that contains syntax; 0 for none."""
    ends = [place for place, character in enumerate(text) if character in ",+)"]
    if not ends or text[0].isspace():
        return 0
    paths = ((end, text[:end].rstrip()) for end in (len(text), *reversed(ends)))
    return next((end for end, path in paths if path and existing(path) is not None), 0)


def _outside(text: str) -> list[bool]:
    """Return for each character whether it is outside parentheses; all are if the parentheses do not balance."""
    depths = list(_depths(text))
    if not depths or depths[-1] or min(depths) < 0:
        return [True] * len(text)
    return [depth == 0 for depth in depths]


def _depths(text: str) -> Iterator[int]:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        yield depth
