"""Going on with a training: what a table of vectors has no room for, kept in a file beside it.

``X.training.safetensors`` beside ``X.safetensors`` holds the vectors of words as context (``syn1neg``, ``syn1``), the
counts of words, FastText's vectors of whole words, the state of the random numbers and the settings. From a file that
has none beside it the training goes on too, as word2vec begins one: with context vectors of zero.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from embeddings.errors import EmbeddingError, VectorFileError
from embeddings.formats.fasttext_binary import own_rows
from embeddings.formats.to_table import read_file
from embeddings.request import VectorRequest
from embeddings.table import EmbeddingTable
from embeddings.table.oov_composers import NgramVectors
from embeddings.table.row_maps import Vectors

log = logging.getLogger("vecformer")

CONTEXTS = ("syn1neg", "syn1")
SETTINGS = ("vector_size", "window", "shrink_windows", "min_count", "sg", "cbow_mean", "negative", "ns_exponent", "hs",
            "sample", "alpha", "min_alpha")
NEVER_THINNED = 2**32 - 1


def state_path(table: Path) -> Path:
    """Where the state of training of a table is kept: ``X.training.safetensors`` for ``X.safetensors``."""
    return table.with_suffix(".training.safetensors")


def save_state(model: Any, table: Path) -> Path:
    """Write what going on with a gensim model needs beside its table, which holds its words and vectors.

    Args:
        model: a trained ``Word2Vec`` or ``FastText``.
        table: the table's path.

    Returns:
        The path of what was written.
    """
    random = model.random.get_state(legacy=False)
    tensors = {name: getattr(model, name) for name in CONTEXTS if hasattr(model, name)}
    tensors |= {"count": model.wv.expandos["count"], "sample_int": model.wv.expandos["sample_int"],
                "random": random["state"]["key"]}
    if _is_fasttext(model):
        tensors["vectors_vocab"] = model.wv.vectors_vocab
    described = {
        "kind": _kind(model), "seed": model.seed, "random": random["state"]["pos"],
        "fingerprint": _fingerprint(model.wv.index_to_key, model.wv.vectors),
        "settings": {name: getattr(model, name) for name in SETTINGS},
    }
    path = state_path(table)
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path,
              metadata={"vecformer": json.dumps(described)})
    return path


def initialize_from(model: Any, path: Path, request: VectorRequest, name: str) -> None:
    """Give a new gensim model the words and vectors of a file, and the state beside it if there is one.

    What follows equals gensim's own way of going on, ``build_vocab(…, update=True)`` and ``train``, to the last bit
    if the seed is that of before and there is one worker.

    Args:
        model: a ``Word2Vec`` or ``FastText`` that has no vocabulary yet.
        path: vectors in any format.
        request: says whether pickles may be read, and is told the progress.
        name: the source's, for messages.

    Raises:
        EmbeddingError: if the width or the n-grams of the file are not those of the model.
        VectorFileError: if the file, or the state beside it, is not in order.
    """
    table = read_file(str(path), None, replace(request, vocabulary=None), name)
    if table.dim != model.vector_size:
        raise EmbeddingError(f"{name}: dim={model.vector_size}, but the vectors of {path} are {table.dim} wide: "
                             f"write dim={table.dim}")
    described, tensors = _read_state(model, table, path, name)
    wv = model.wv
    wv.index_to_key = list(table.words)
    wv.key_to_index = dict(table.index)
    wv.expandos["count"] = tensors.get("count", np.ones(len(table), np.int64))
    wv.expandos["sample_int"] = tensors.get("sample_int", np.full(len(table), NEVER_THINNED, np.uint32))
    if _is_fasttext(model):
        ngrams = _ngrams(model, table, path)
        wv.vectors_ngrams = ngrams.vectors.copy()
        wv.vectors_vocab = tensors.get("vectors_vocab")
        wv.recalc_char_ngram_buckets()
        if wv.vectors_vocab is None:
            wv.vectors_vocab = own_rows(table.words, table.vectors, ngrams)
        wv.adjust_vectors()
    else:
        wv.vectors = table.vectors.copy()
    for context, is_used in zip(CONTEXTS, (model.negative, model.hs), strict=True):
        if is_used:
            setattr(model, context, tensors.get(context, np.zeros((len(table), table.dim), np.float32)))
    if described and described["seed"] == model.seed:
        model.random.set_state(("MT19937", tensors["random"], described["random"]))


def _read_state(
    model: Any, table: EmbeddingTable, path: Path, name: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What was stored and its arrays; nothing if there is no state beside the table."""
    file = state_path(path)
    if path.suffix != ".safetensors" or not file.is_file():
        log.warning("%s: no %s beside it, so that words as context start at zero and each counts as seen once",
                    path, file.name)
        return {}, {}
    try:
        with safe_open(file, framework="numpy") as opened:
            described = json.loads(opened.metadata()["vecformer"])
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  # no mapping
        kind, fingerprint, before = described["kind"], described["fingerprint"], described["settings"]
    except Exception as error:  # the library raises an exception of its own
        raise VectorFileError(f"{file}: not the state of a training ({error}); without it, {name} starts the words as "
                              "context at zero: move it away") from error
    if kind != _kind(model):
        raise EmbeddingError(f"{path} was trained by {kind}: write {kind},start={path}")
    if fingerprint != _fingerprint(table.words, table.vectors):
        raise VectorFileError(f"{file}: belongs to other vectors than those of {path}; move it away to start the words "
                              "as context at zero")
    _tell_changes(before, model, path)
    return described, tensors


def _tell_changes(before: Mapping[str, Any], model: Any, path: Path) -> None:
    changed = [f"{key}={getattr(model, key)} (it was {value})" for key, value in before.items()
               if getattr(model, key) != value]
    if changed:
        log.warning("%s: the training goes on with %s", path, ", ".join(changed))


def _ngrams(model: Any, table: EmbeddingTable, path: Path) -> NgramVectors:
    if not isinstance(table.composer, NgramVectors):
        raise EmbeddingError(f"{path}: no vectors of n-grams, which fasttext goes on from; write word2vec,start={path}")
    found = {"min_n": table.composer.min_n, "max_n": table.composer.max_n, "buckets": len(table.composer.vectors)}
    asked = {"min_n": model.wv.min_n, "max_n": model.wv.max_n, "buckets": model.wv.bucket}
    if found != asked:
        told = ",".join(f"{key}={value}" for key, value in found.items())
        raise EmbeddingError(f"fasttext: the n-grams of {path} are {told}, not "
                             f"{','.join(f'{key}={value}' for key, value in asked.items())}: write {told}")
    return table.composer


def _is_fasttext(model: Any) -> bool:
    return hasattr(model.wv, "bucket")


def _kind(model: Any) -> str:
    return "fasttext" if _is_fasttext(model) else "word2vec"


def _fingerprint(words: Iterable[str], vectors: Vectors) -> int:
    return zlib.crc32(np.ascontiguousarray(vectors).data, zlib.crc32("\n".join(words).encode(errors="replace")))
