"""Parsing of source specifications such as ``glove:vectors.txt,limit=100000+word2vec,dim=100``.

A source is one file of :mod:`embeddings.sources`, or of another package (entry point ``vecformer.sources``): a frozen
dataclass under ``@source("name")`` whose fields are its options and whose ``load`` returns an
:class:`~embeddings.table.EmbeddingTable`.

The grammar: a source is ``name[:path][,key=value…]`` or, if it consists of others (a field ``parts``),
``name(A,B)[,key=value…]``. ``A+B`` is short for ``concat(A,B)``. Parentheses group:
``random,init=shuffled:(glove+word2vec,dim=50)``. A URI alone, ``file:///vectors.txt``, is a source too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TypeVar

from embeddings.errors import SpecificationError
from embeddings.request import Source, VectorRequest, with_files, with_origins
from embeddings.specification.grammar import (
    COMMA,
    OPTION,
    PARTS,
    SPECIFICATION,
    build,
    options,
    split_options,
    split_top_level,
    strip_parentheses,
    takes_parts,
    written_specification,
)
from embeddings.specification.plugins import Registry
from embeddings.specification.subwords import for_subwords
from embeddings.table import EmbeddingTable
from embeddings.table.paths import URI

T = TypeVar("T", bound=type)

CALL = re.compile(r"(\w+)\s*\((.*)\)", re.DOTALL)
PLUS = "concat"  # the source that A+B is short for

SOURCES = Registry("embeddings.sources", "source", SpecificationError, "vecformer.sources")


def source(name: str) -> Callable[[T], T]:
    """Decorate a dataclass to register it as a source."""
    return lambda cls: SOURCES.register(name)(with_origins(name, with_files(for_subwords(cls))))


def parse(specification: str) -> Source:
    """Parse a specification.

    Raises:
        SpecificationError: if a name, an option or a value is wrong; the message suggests the most similar one.
    """
    specification = strip_parentheses(written_specification(specification).strip())
    parts = split_top_level(specification, _plus())
    if len(parts) > 1:
        return _build(PLUS, {}, parts, specification)
    head, *pairs = split_top_level(specification, OPTION)
    call = CALL.fullmatch(head)
    if call and call[1] in SOURCES.available and takes_parts(SOURCES.available[call[1]]):
        return _build(call[1], split_options(pairs), split_top_level(call[2], COMMA), specification)
    name, colon, path = ("file", ":", head) if head.startswith(URI) else head.partition(":")
    given = {"path": path.strip()} if colon else {}
    return _build(name.strip(), given | split_options(pairs), None, specification)


def load(specification: str, request: VectorRequest) -> EmbeddingTable:
    """Parse a specification and load its vectors."""
    return parse(specification).load(request)


@cache
def _plus() -> re.Pattern[str]:
    """A ``+`` followed by a source's name, so that a path may contain a ``+``."""
    names = "|".join(map(re.escape, SOURCES.available))
    return re.compile(rf"\+\s*(?=\(|(?:{names})\s*(?:[:,+(]|$))")


def _find(name: str, path: str) -> type:
    """Return the class of a source; the message for the name of a file or a URL says what to write."""
    try:
        return SOURCES.find(name)
    except SpecificationError:
        if path.startswith("//"):
            raise SpecificationError(f"{name}:{path}: URLs are not read; download the file and write "
                                     "file:PATH") from None
        if Path(name).is_file():
            raise SpecificationError(f"no source is called {name!r}; to read the vectors of this file, write "
                                     f"file:{name}") from None
        raise


def _build(name: str, given: dict[str, str], parts: list[str] | None, specification: str) -> Source:
    cls = _find(name, given.get("path", ""))
    known = options(cls)
    if takes_parts(cls) and parts is None:
        raise SpecificationError(f"source {name!r} consists of other sources: write it as {name}(A,B), for instance "
                                 f"{name}(glove,word2vec)")
    if "path" in given and "path" not in known:
        raise SpecificationError(f"source {name!r} takes no path, but was given {given['path']!r}")
    if "path" in given and not given["path"]:
        raise SpecificationError(f"source {name!r} needs a path after the colon")
    parsed = {} if parts is None else {PARTS: tuple(map(parse, parts)), SPECIFICATION: specification}
    names = {item.name for item in fields(cls)}
    built: Source = build(f"source {name!r}", cls, given, positional="path",
                          parsed={key: value for key, value in parsed.items() if key in names})
    return built
