"""Reading of a vector file into an :class:`~embeddings.table.EmbeddingTable`, with a cache for slow formats."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

from embeddings.analysis.conventions import conventions_of
from embeddings.compressed_files import split_location
from embeddings.formats.cache import cached
from embeddings.formats.detect import detect_format, read_vectors
from embeddings.formats.interface import RowSelection
from embeddings.progress import FractionCallback
from embeddings.request import VectorRequest
from embeddings.table import EmbeddingTable

log = logging.getLogger("vecformer")


def read_file(location: str | Path, limit: int | None, request: VectorRequest, name: str) -> EmbeddingTable:
    """Read the rows that a request needs from a file, or take them from the cache.

    Args:
        location: a file, ``archive.zip!member``, or the folder of a run.
        limit: maximum number of rows to read.
        request: the requested words.
        name: specification recorded in the table, such as ``file:vectors.txt``.

    Raises:
        VectorFileError: if the file is missing or broken.
    """
    progress = partial(request.progress, f"reading {name}")
    progress(0.0)
    path, member = split_location(location)
    if detect_format(location).is_cached:
        table = cached(path, _key(member, limit, request), lambda: _read(location, limit, request, name, progress))
    else:
        table = _read(location, limit, request, name, progress)
    if log.isEnabledFor(logging.INFO):
        log.info("%s: %d words read, %s", name, len(table), conventions_of(table.words))
    progress(1.0)
    return _producible(replace(table, source=name), request)


def _read(
    location: str | Path, limit: int | None, request: VectorRequest, name: str, progress: FractionCallback
) -> EmbeddingTable:
    words = None if request.reads_all else frozenset(request.listed_forms())
    rows = read_vectors(location, RowSelection(words, request.n_frequent, limit, progress, request.trust_pickle))
    known = EmbeddingTable.known(rows.words, rows.vectors, name)
    return replace(known, composer=rows.composer, provenance=rows.provenance or known.provenance,
                   transforms=rows.transforms)


def _key(member: str | None, limit: int | None, request: VectorRequest) -> str:
    """Return what decides, besides the file, which rows are read."""
    if request.reads_all:
        return f"{member}\n{limit}"
    words = "\0".join(sorted({*(request.vocabulary or ()), *request.extra_words}))
    hashed = hashlib.blake2b(words.encode("utf-8", errors="surrogatepass")).hexdigest()
    return f"{member}\n{limit}\n{hashed}\n{request.unknown.steps}\n{request.n_frequent}"


def _producible(table: EmbeddingTable, request: VectorRequest) -> EmbeddingTable:
    """Drop words that were not requested and that the tokenizer cannot produce."""
    if request.reads_all or not request.n_frequent:
        return table
    return table.where(replace(request, n_frequent=len(table)).kept(table.words))
