"""Any file of word vectors as an :class:`~embeddings.table.EmbeddingTable`, through the cache where that is faster."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from embeddings.analysis.conventions import conventions_of
from embeddings.compressed_files import split_location
from embeddings.formats.cache import cached
from embeddings.formats.detect import CACHED, detect_format, read_vectors
from embeddings.formats.interface import RowSelection
from embeddings.request import VectorRequest
from embeddings.table import EmbeddingTable

log = logging.getLogger("vecformer")


def read_file(location: str | Path, limit: int | None, request: VectorRequest, name: str) -> EmbeddingTable:
    """Read the rows that a request asks for out of a file, or take them from the cache.

    Args:
        location: a file, ``archive.zip!member``, or the folder of a run.
        limit: read no more than this many rows.
        request: says which words matter.
        name: the specification that the table is to bear, such as ``file:vectors.txt``.

    Raises:
        VectorFileError: if the file is not in order.
    """
    def tell(share: float) -> None:
        request.progress(f"reading {name}", share)

    tell(0.0)
    path, member = split_location(location)
    if detect_format(location) in CACHED:
        table = cached(path, _key(member, limit, request), lambda: _read(location, limit, request, name, tell))
    else:
        table = _read(location, limit, request, name, tell)
    if log.isEnabledFor(logging.INFO):
        log.info("%s: %d words read, %s", name, len(table), conventions_of(table.words))
    tell(1.0)
    return _producible(replace(table, source=name), request)


def _read(
    location: str | Path, limit: int | None, request: VectorRequest, name: str, tell: Callable[[float], None]
) -> EmbeddingTable:
    words = None if request.reads_all else frozenset(request.listed_forms())
    selection = RowSelection(words, request.n_frequent, limit, tell, request.trust_pickle)
    rows = read_vectors(location, selection)
    known = EmbeddingTable.known(rows.words, rows.vectors, name)
    return replace(known, composer=rows.composer, provenance=rows.provenance or known.provenance,
                   transforms=rows.transforms)


def _key(member: str | None, limit: int | None, request: VectorRequest) -> str:
    """All that decides which rows are read, the file aside."""
    if request.reads_all:
        return f"{member}\n{limit}"
    words = "\0".join(sorted({*(request.vocabulary or ()), *request.extra_words}))
    hashed = hashlib.blake2b(words.encode("utf-8", errors="surrogatepass")).hexdigest()
    return f"{member}\n{limit}\n{hashed}\n{request.unknown.steps}\n{request.n_frequent}"


def _producible(table: EmbeddingTable, request: VectorRequest) -> EmbeddingTable:
    """Of the further words, which nobody named, keep those that text can produce."""
    if request.reads_all or not request.n_frequent:
        return table
    named, tokenizer = request.listed_forms(), request.tokenizer
    return table.where(tokenizer.can_produce(tokenizer.fold(word)) or word in named for word in table.words)
