"""From a specification such as ``glove:vectors.txt,limit=100000+word2vec,dim=100`` to a source of word vectors.

A source is one file in this folder: a frozen dataclass under ``@source("name")`` whose fields are its options and whose
``load`` gives an :class:`~embeddings.table.EmbeddingTable`. Nothing else has to know of it.

The grammar: ``A+B`` joins; a source is ``name[:path][,key=value…]`` or, if it is made of others (a field ``parts``),
``name(A,B)[,key=value…]``; parentheses keep together what would otherwise be cut:
``random,init=shuffled:(glove+word2vec,dim=50)``.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from embeddings.errors import SpecificationError
from embeddings.request import Source, VectorRequest
from embeddings.specification.grammar import (
    COMMA,
    OPTION,
    build,
    options,
    split_options,
    split_top_level,
    strip_parentheses,
)
from embeddings.specification.plugins import Registry
from embeddings.table import EmbeddingTable

CALL = re.compile(r"(\w+)\s*\((.*)\)", re.DOTALL)

SOURCES = Registry("embeddings.sources", "source", SpecificationError)
source = SOURCES.register


def parse(specification: str) -> Source:
    """Read a specification ``name[:path][,key=value…]``, several joined by ``+``.

    Raises:
        SpecificationError: if a name, an option or a value is wrong; the message gives the nearest right one.
    """
    specification = strip_parentheses(specification.strip())
    parts = split_top_level(specification, _joint())
    if len(parts) > 1:
        from embeddings.sources.concat import Combined

        return Combined(tuple(map(parse, parts)), specification)
    return _parse_one(specification)


def load(specification: str, request: VectorRequest) -> EmbeddingTable:
    """Parse a specification and load its vectors."""
    return parse(specification).load(request)


@cache
def _joint() -> re.Pattern[str]:
    """A ``+`` that is followed by a source's name, so that a path may hold a ``+`` of its own."""
    names = "|".join(map(re.escape, SOURCES.available))
    return re.compile(rf"\+\s*(?=\(|(?:{names})\s*(?:[:,+(]|$))")


def _parse_one(text: str) -> Source:
    name: str
    given: dict[str, Any]
    head, *pairs = split_top_level(text, OPTION)
    call = CALL.fullmatch(head)
    if call and _is_made_of_parts(call[1]):
        name, given = call[1], {"parts": tuple(map(parse, split_top_level(call[2], COMMA)))}
    else:
        name, colon, path = head.partition(":")
        name, given = name.strip(), {"path": path.strip()} if colon else {}
    cls = SOURCES.find(name)
    given |= split_options(pairs)
    _require_shape(name, given, options(cls))
    made: Source = build(f"source {name!r}", cls, given, positional="path")
    return made


def _is_made_of_parts(name: str) -> bool:
    return name in SOURCES.available and "parts" in options(SOURCES.available[name])


def _require_shape(name: str, given: dict[str, Any], known: dict[str, Any]) -> None:
    """Refuse a source without its parts, and a path where none belongs or one that is empty."""
    if "parts" in known and "parts" not in given:
        raise SpecificationError(f"source {name!r} is made of others: write it as {name}(A,B), for instance "
                                 f"{name}(glove,word2vec)")
    if "path" in given and "path" not in known:
        raise SpecificationError(f"source {name!r} takes no path, but was given {given['path']!r}")
    if "path" in given and not given["path"]:
        raise SpecificationError(f"source {name!r} needs a path after the colon")
