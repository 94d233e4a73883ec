"""A cache of trained vectors, shared by runs with the same settings and texts."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from embeddings.formats.cache import content_hash
from embeddings.formats.checksums import first_difference, sha256_of
from embeddings.request import VectorRequest
from embeddings.table import EmbeddingTable
from embeddings.table.atomic_files import FOREVER, locked, scratch_folder
from embeddings.tokenization.corpus import CorpusFiles

TABLE, CHECKSUMS = "table.safetensors", "checksums.json"
FILES = (TABLE, "table.json")

log = logging.getLogger("vecformer")


def train_once(
    settings: Mapping[str, Any], request: VectorRequest, train: Callable[[], EmbeddingTable]
) -> EmbeddingTable:
    """Return vectors from the request's shared folder, or train them and store them there.

    Of several processes with the same request one trains, and the others wait.

    Args:
        settings: everything that decides the result besides the request's texts, tokenizer and seed.
        request: a request with a ``shared`` folder.
        train: trains the table.
    """
    assert request.shared is not None
    entry = request.shared / _key(settings, request)
    request.shared.mkdir(parents=True, exist_ok=True)
    with locked(entry, timeout=FOREVER):
        found = _read(entry)
        if found is not None:
            return found
        table = train()
        with scratch_folder(entry) as new:
            table.save(new / TABLE)
            described = {"entry": entry.name, "files": sha256_of(new.iterdir())}
            (new / CHECKSUMS).write_text(json.dumps(described), encoding="utf-8")
            shutil.rmtree(entry, ignore_errors=True)
            new.rename(entry)
        return EmbeddingTable.load(entry / TABLE)


def _read(entry: Path) -> EmbeddingTable | None:
    """Read an entry; None if there is none or it is damaged."""
    if not entry.exists():
        return None
    try:
        described = json.loads((entry / CHECKSUMS).read_text(encoding="utf-8"))
        if described["entry"] != entry.name:
            raise ValueError("they were trained for another request")
        wrong = first_difference(entry, {name: described["files"][name] for name in FILES})
        if wrong is not None:
            raise ValueError(f"{wrong.name} does not have the checksum of {CHECKSUMS}")
        return EmbeddingTable.load(entry / TABLE)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("%s: these shared vectors are damaged (%s); they are trained again", entry, error)
        return None


def _key(settings: Mapping[str, Any], request: VectorRequest) -> str:
    digest = hashlib.blake2b(digest_size=16)
    described = {"settings": settings, "seed": request.seed, "tokenizer": request.tokenizer.to_json(),
            "gensim": version("gensim")}
    digest.update(json.dumps(described, sort_keys=True, default=str).encode())
    if isinstance(request.texts, CorpusFiles):
        digest.update(request.texts.reading().encode())
        for path in request.texts.files():
            digest.update(content_hash(path).encode())
    else:
        for text in request.texts or ():
            digest.update(json.dumps(text).encode())
    return digest.hexdigest()
