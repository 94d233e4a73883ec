"""Continued training: the state of a training that is not part of its embedding table.

``X.training.safetensors`` contains the context vectors (``syn1neg``, ``syn1``), the word counts, FastText's vectors of
whole words, the state of the random generator and the settings of the table ``X.safetensors``. Without this file the
context vectors start at zero, as in word2vec.
"""

from __future__ import annotations

import hashlib
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

SHA256 = "sha256"  # key in the metadata, which states of version 0.1.0 do not have
CONTEXT_MATRICES = ("syn1neg", "syn1")
SETTINGS = ("vector_size", "window", "shrink_windows", "min_count", "sg", "cbow_mean", "negative", "ns_exponent", "hs",
            "sample", "alpha", "min_alpha")
NEVER_SUBSAMPLED = 2**32 - 1


def state_path(table: Path) -> Path:
    """Return the path of a table's training state: ``X.training.safetensors`` for ``X.safetensors``."""
    return table.with_suffix(".training.safetensors")


def save_state(model: Any, path: Path) -> Path:
    """Write the state that is needed, besides its table, to continue the training of a gensim model.

    Args:
        model: a trained ``Word2Vec`` or ``FastText``.
        path: path of the state (:func:`state_path`).

    Returns:
        The path.
    """
    random = model.random.get_state(legacy=False)
    tensors = {name: getattr(model, name) for name in CONTEXT_MATRICES if hasattr(model, name)}
    tensors |= {"count": model.wv.expandos["count"], "sample_int": model.wv.expandos["sample_int"],
                "random": random["state"]["key"]}
    if _is_fasttext(model):
        tensors["vectors_vocab"] = model.wv.vectors_vocab
    described = {
        "kind": _kind(model), "seed": model.seed, "random": random["state"]["pos"],
        "fingerprint": _fingerprint(model.wv.index_to_key, model.wv.vectors),
        "settings": {name: getattr(model, name) for name in SETTINGS},
    }
    arrays, text = {name: np.ascontiguousarray(array) for name, array in tensors.items()}, json.dumps(described)
    save_file(arrays, path, metadata={"vecformer": text, SHA256: _content_hash(text, arrays)})
    return path


def initialize_from(model: Any, path: Path, request: VectorRequest, name: str) -> None:
    """Initialise a new gensim model with the words and vectors of a file, and its training state if there is one.

    With the same seed and one worker the training continues bit for bit as gensim's ``build_vocab(…, update=True)``
    and ``train``.

    Args:
        model: a ``Word2Vec`` or ``FastText`` without a vocabulary.
        path: vector file in any format.
        request: supplies ``trust_pickle`` and the progress callback.
        name: name of the source, for error messages.

    Raises:
        EmbeddingError: if the dimension or the n-grams of the file differ from those of the model.
        VectorFileError: if the file or its training state is broken.
    """
    table = read_file(str(path), None, replace(request, vocabulary=None), name)
    if table.dim != model.vector_size:
        raise EmbeddingError(f"{name}: dim={model.vector_size}, but the vectors of {path} have dimension "
                             f"{table.dim}: write dim={table.dim}")
    described, tensors = _read_state(model, table, path, name)
    wv = model.wv
    wv.index_to_key = list(table.words)
    wv.key_to_index = dict(table.index)
    wv.expandos["count"] = tensors.get("count", np.ones(len(table), np.int64))
    wv.expandos["sample_int"] = tensors.get("sample_int", np.full(len(table), NEVER_SUBSAMPLED, np.uint32))
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
    for context, is_used in zip(CONTEXT_MATRICES, (model.negative, model.hs), strict=True):
        if is_used:
            setattr(model, context, tensors.get(context, np.zeros((len(table), table.dim), np.float32)))
    if described and described["seed"] == model.seed:
        model.random.set_state(("MT19937", tensors["random"], described["random"]))


def _read_state(
    model: Any, table: EmbeddingTable, path: Path, name: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the description and arrays of the state; both are empty if there is none."""
    file = state_path(path)
    if path.suffix != ".safetensors" or not file.is_file():
        log.warning("%s: %s is missing, so context vectors start at zero and every word has count 1", path, file.name)
        return {}, {}
    try:
        with safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata()
            described = json.loads(metadata["vecformer"])
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  # not a mapping
        if metadata.get(SHA256, "") != _content_hash(metadata["vecformer"], tensors) and len(metadata) > 1:
            raise ValueError("its content does not match its checksum")
        kind, fingerprint, before = described["kind"], described["fingerprint"], described["settings"]
    except Exception as error:  # the library has its own exception class
        raise VectorFileError(f"{file}: not a training state ({error}); delete it to continue {name} with context "
                              "vectors of zero") from error
    if kind != _kind(model):
        raise EmbeddingError(f"{path} was trained by {kind}: write {kind},start={path}")
    if fingerprint != _fingerprint(table.words, table.vectors):
        raise VectorFileError(f"{file}: belongs to other vectors than {path}; delete it to continue with context "
                              "vectors of zero")
    _warn_of_changes(before, model, path)
    return described, tensors


def _content_hash(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of the description and of the arrays with their names, dtypes and shapes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(f"\n{name} {arrays[name].dtype.str} {arrays[name].shape}\n".encode())
        digest.update(arrays[name].data)
    return digest.hexdigest()


def _warn_of_changes(before: Mapping[str, Any], model: Any, path: Path) -> None:
    changed = [f"{key}={getattr(model, key)} (before: {value})" for key, value in before.items()
               if getattr(model, key) != value]
    if changed:
        log.warning("%s: the training continues with %s", path, ", ".join(changed))


def _ngrams(model: Any, table: EmbeddingTable, path: Path) -> NgramVectors:
    if not isinstance(table.composer, NgramVectors):
        raise EmbeddingError(f"{path}: has no n-gram vectors, which fasttext needs; write word2vec,start={path}")
    found = {"min_n": table.composer.min_n, "max_n": table.composer.max_n, "buckets": len(table.composer.vectors)}
    requested = {"min_n": model.wv.min_n, "max_n": model.wv.max_n, "buckets": model.wv.bucket}
    if found != requested:
        theirs = ",".join(f"{key}={value}" for key, value in found.items())
        ours = ",".join(f"{key}={value}" for key, value in requested.items())
        raise EmbeddingError(f"fasttext: the n-grams of {path} have {theirs}, not {ours}: write {theirs}")
    return table.composer


def _is_fasttext(model: Any) -> bool:
    return hasattr(model.wv, "bucket")


def _kind(model: Any) -> str:
    return "fasttext" if _is_fasttext(model) else "word2vec"


def _fingerprint(words: Iterable[str], vectors: Vectors) -> int:
    return zlib.crc32(np.ascontiguousarray(vectors).data, zlib.crc32("\n".join(words).encode(errors="replace")))
