"""From a specification such as ``glove:vectors.txt,limit=100000+word2vec,dim=100`` to a source of word vectors.

A source is one file in this folder: a frozen dataclass under ``@source("name")`` whose fields are its options and whose
``load`` gives an :class:`~embeddings.table.EmbeddingTable`. Nothing else has to know of it.

The grammar: ``A+B`` joins; a source is ``name[:path][,key=value…]`` or, if it is made of others (a field ``parts``),
``name(A,B)[,key=value…]``; parentheses keep together what would otherwise be cut:
``random,init=shuffled:(glove+word2vec,dim=50)``.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

import embeddings.sources
from embeddings.errors import SpecificationError
from embeddings.sources.request import Source, VectorRequest
from embeddings.suggest import did_you_mean
from embeddings.table import EmbeddingTable

S = TypeVar("S", bound=type)
_SOURCES: dict[str, type] = {}

OPTION = re.compile(r",(?=\s*[A-Za-z_]\w*\s*=)")
CALL = re.compile(r"(\w+)\s*\((.*)\)", re.DOTALL)
COMMA = re.compile(r",(?!\s*[A-Za-z_]\w*\s*=)")


def source(name: str) -> Callable[[S], S]:
    """Register the dataclass below as the source of this name."""

    def register(cls: S) -> S:
        _SOURCES[name] = cls
        return cls

    return register


@cache
def available() -> dict[str, type]:
    """Every source by name; each file of this folder is imported once (none imports a heavy package at its top)."""
    for module in pkgutil.iter_modules(embeddings.sources.__path__):
        importlib.import_module(f"embeddings.sources.{module.name}")
    return dict(sorted(_SOURCES.items()))


def describe() -> dict[str, str]:
    """Each source's name and the first line of what it says of itself."""
    return {name: (cls.__doc__ or "").strip().splitlines()[0] for name, cls in available().items()}


def options(cls: type) -> dict[str, Any]:
    """A source's options and their defaults; a required one, such as a path, has None."""
    return {item.name: None if item.default is MISSING else item.default for item in fields(cls)}


def parse(specification: str) -> Source:
    """Read a specification ``name[:path][,key=value…]``, several joined by ``+``.

    Raises:
        SpecificationError: if a name, an option or a value is wrong; the message gives the nearest right one.
    """
    specification = _unwrapped(specification.strip())
    parts = _cut(specification, _joint())
    if len(parts) > 1:
        from embeddings.sources.combined import Combined

        return Combined(tuple(map(parse, parts)), specification)
    return _parse_one(specification)


def load(specification: str, request: VectorRequest) -> EmbeddingTable:
    """Parse a specification and load its vectors."""
    return parse(specification).load(request)


@cache
def _joint() -> re.Pattern[str]:
    """A ``+`` that is followed by a source's name, so that a path may hold a ``+`` of its own."""
    names = "|".join(map(re.escape, available()))
    return re.compile(rf"\+\s*(?=\(|(?:{names})\s*(?:[:,+(]|$))")


def _cut(text: str, separator: re.Pattern[str]) -> list[str]:
    """Cut at each separator that stands outside parentheses."""
    start, pieces = 0, []
    outside = _outside(text)
    for match in separator.finditer(text):
        if outside[match.start()]:
            pieces.append(text[start : match.start()])
            start = match.end()
    return [piece.strip() for piece in (*pieces, text[start:])]


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


def _unwrapped(text: str) -> str:
    """Take off parentheses that go around the whole text."""
    while text.startswith("(") and text.endswith(")") and not any(_outside(text)[:-1]):
        text = text[1:-1].strip()
    return text


def _parse_one(text: str) -> Source:
    name: str
    given: dict[str, Any]
    head, *pairs = _cut(text, OPTION)
    call = CALL.fullmatch(head)
    if call and _is_made_of_parts(call[1]):
        name, given = call[1], {"parts": tuple(map(parse, _cut(call[2], COMMA)))}
    else:
        name, colon, path = head.partition(":")
        name, given = name.strip(), {"path": path.strip()} if colon else {}
    cls = available().get(name)
    if cls is None:
        raise SpecificationError(f"no source is called {name!r}.{did_you_mean(name, available())} There are: "
                                 f"{', '.join(available())}; join two with +")
    for pair in pairs:
        key, _, value = pair.partition("=")
        given[key.strip()] = value.strip()
    return _make(name, cls, given)


def _is_made_of_parts(name: str) -> bool:
    return name in available() and "parts" in options(available()[name])


def _make(name: str, cls: type, given: dict[str, Any]) -> Source:
    known = options(cls)
    if "parts" in known and "parts" not in given:
        raise SpecificationError(f"source {name!r} is made of others: write it as {name}(A,B), for instance "
                                 f"{name}(glove,word2vec)")
    if "path" in given and ("path" not in known or not given["path"]):
        raise SpecificationError(f"source {name!r} " + (
            "needs a path after the colon" if "path" in known else f"takes no path, but was given {given['path']!r}"
        ))
    for key in given:
        if key not in known:
            has = ", ".join(option for option in known if option not in ("path", "parts")) or "none"
            raise SpecificationError(f"source {name!r} has no option {key!r}.{did_you_mean(key, known)} It has: {has}")
    try:
        made: Source = TypeAdapter(cls).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "missing":
            raise SpecificationError(f"source {name!r} needs a path: {name}:PATH") from error
        where = f"option {first['loc'][0]}={first['input']}: " if first["loc"] else ""
        raise SpecificationError(f"source {name!r}: {where}{first['msg'].removeprefix('Value error, ')}") from error
    return made
