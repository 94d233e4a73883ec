"""From a specification such as ``glove:vectors.txt,limit=100000+word2vec,dim=100`` to a source of word vectors.

A source is one file in this folder: a frozen dataclass under ``@source("name")`` whose fields are its options and whose
``load`` gives an :class:`~embeddings.table.EmbeddingTable`. Nothing else has to know of it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import fields
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
    """A source's options and their defaults."""
    return {field.name: field.default for field in fields(cls)}


def parse(specification: str) -> Source:
    """Read a specification ``name[:path][,key=value…]``, several joined by ``+``.

    Raises:
        SpecificationError: if a name, an option or a value is wrong; the message gives the nearest right one.
    """
    parts = _split(specification)
    if len(parts) > 1:
        from embeddings.sources.combined import Combined

        return Combined(tuple(_parse_one(part) for part in parts), specification)
    return _parse_one(specification.strip())


def load(specification: str, request: VectorRequest) -> EmbeddingTable:
    """Parse a specification and load its vectors."""
    return parse(specification).load(request)


def _split(specification: str) -> list[str]:
    """Cut at each ``+`` that is followed by a source's name, so that a path may hold a ``+`` of its own."""
    names = "|".join(map(re.escape, available()))
    pieces = re.split(rf"\+\s*(?=(?:{names})\s*(?:[:,+]|$))", specification)
    return [piece.strip() for piece in pieces]


def _parse_one(text: str) -> Source:
    head, *pairs = re.split(r",(?=\s*[A-Za-z_]\w*\s*=)", text)
    name, colon, path = head.partition(":")
    name = name.strip()
    cls = available().get(name)
    if cls is None:
        raise SpecificationError(f"no source is called {name!r}.{did_you_mean(name, available())} There are: "
                                 f"{', '.join(available())}; join two with +")
    given: dict[str, Any] = {"path": path.strip()} if colon else {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        given[key.strip()] = value.strip()
    return _make(name, cls, given)


def _make(name: str, cls: type, given: dict[str, Any]) -> Source:
    known = options(cls)
    if "path" in given and ("path" not in known or not given["path"]):
        raise SpecificationError(f"source {name!r} " + (
            "needs a path after the colon" if "path" in known else f"takes no path, but was given {given['path']!r}"
        ))
    for key in given:
        if key not in known:
            has = ", ".join(option for option in known if option != "path")
            raise SpecificationError(f"source {name!r} has no option {key!r}.{did_you_mean(key, known)} It has: {has}")
    try:
        made: Source = TypeAdapter(cls).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"option {first['loc'][0]}={first['input']}: " if first["loc"] else ""
        raise SpecificationError(f"source {name!r}: {where}{first['msg'].removeprefix('Value error, ')}") from error
    return made


