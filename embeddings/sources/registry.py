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
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import embeddings.sources
from embeddings.errors import SpecificationError
from embeddings.sources.request import Source, VectorRequest
from embeddings.specification import COMMA, OPTION, build, cut, options, split_options, unwrapped
from embeddings.suggest import did_you_mean
from embeddings.table import EmbeddingTable

S = TypeVar("S", bound=type)
_SOURCES: dict[str, type] = {}

CALL = re.compile(r"(\w+)\s*\((.*)\)", re.DOTALL)


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


def parse(specification: str) -> Source:
    """Read a specification ``name[:path][,key=value…]``, several joined by ``+``.

    Raises:
        SpecificationError: if a name, an option or a value is wrong; the message gives the nearest right one.
    """
    specification = unwrapped(specification.strip())
    parts = cut(specification, _joint())
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


def _parse_one(text: str) -> Source:
    name: str
    given: dict[str, Any]
    head, *pairs = cut(text, OPTION)
    call = CALL.fullmatch(head)
    if call and _is_made_of_parts(call[1]):
        name, given = call[1], {"parts": tuple(map(parse, cut(call[2], COMMA)))}
    else:
        name, colon, path = head.partition(":")
        name, given = name.strip(), {"path": path.strip()} if colon else {}
    cls = available().get(name)
    if cls is None:
        raise SpecificationError(f"no source is called {name!r}.{did_you_mean(name, available())} There are: "
                                 f"{', '.join(available())}; join two with +")
    given |= split_options(pairs)
    _require_shape(name, given, options(cls))
    made: Source = build(f"source {name!r}", cls, given, positional="path")
    return made


def _is_made_of_parts(name: str) -> bool:
    return name in available() and "parts" in options(available()[name])


def _require_shape(name: str, given: dict[str, Any], known: dict[str, Any]) -> None:
    """Refuse a source without its parts, and a path where none belongs or one that is empty."""
    if "parts" in known and "parts" not in given:
        raise SpecificationError(f"source {name!r} is made of others: write it as {name}(A,B), for instance "
                                 f"{name}(glove,word2vec)")
    if "path" in given and "path" not in known:
        raise SpecificationError(f"source {name!r} takes no path, but was given {given['path']!r}")
    if "path" in given and not given["path"]:
        raise SpecificationError(f"source {name!r} needs a path after the colon")
