"""Files written by gensim's ``save``: a pickle of KeyedVectors or of a model, with large arrays in ``.npy`` files.

They are read without unpickling (:mod:`embeddings.formats.pickles`). Other pickles are unpickled on request only.
"""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.fasttext_binary import MAX_N, compose_words
from embeddings.formats.interface import (
    MemoryMappedFormat,
    RowSelection,
    VectorRows,
    gather,
    select,
    vector_format,
)
from embeddings.formats.npy import open_npy
from embeddings.formats.pickles import CallRecord, GlobalName, UnreadablePickleError, as_array, parse_pickle
from embeddings.table.arguments import flag
from embeddings.table.oov_composers import NgramVectors


@vector_format("pickle")
class PickleFormat(MemoryMappedFormat):
    """Pickles of gensim's vectors and models; with ``trust_pickle`` also of a dict from words to vectors."""

    def matches(self, stream: Stream, start: bytes) -> bool:
        """Check the opcode and number of the protocol, 2 to 5."""
        return start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")

    def read_path(self, path: Path, selection: RowSelection) -> VectorRows:
        """Read the selected rows without unpickling; other pickles are unpickled if they are trusted."""
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                root = parse_pickle(mapped)
        except UnreadablePickleError as error:
            if selection.trust_pickle:
                return _unpickled(path, selection)
            raise VectorFileError(f"{path}: {error}; if you trust the origin of the file, unpickle it with "
                                  f"{flag('trust_pickle')}") from error
        if _is_gensims(root):
            return _of_gensim(path, root, selection)
        if selection.trust_pickle:
            return _unpickled(path, selection)
        raise VectorFileError(f"{path}: a pickle of {_kind(root)}, not of gensim's vectors. Unpickling can execute "
                              f"arbitrary code: if you trust the origin of the file, add {flag('trust_pickle')}")


def _is_gensims(root: Any) -> bool:
    return (isinstance(root, CallRecord) and isinstance(root.what, GlobalName) and isinstance(root.state, dict)
            and root.what.module.startswith("gensim."))


def _kind(root: Any) -> str:
    if isinstance(root, CallRecord) and isinstance(root.what, GlobalName):
        return ".".join(root.what)
    return f"a {type(root).__name__}"


def _of_gensim(path: Path, root: CallRecord, selection: RowSelection) -> VectorRows:
    state, prefix = root.state, ""
    inner = state.get("wv")
    if isinstance(inner, CallRecord) and isinstance(inner.state, dict):
        state, prefix = inner.state, ".wv"
    ngrams = _ngrams(path, state, prefix)
    vectors = _array(path, state, prefix, "vectors", "syn0")
    own = _array(path, state, prefix, "vectors_vocab") if vectors is None else None
    matrix = own if vectors is None else vectors
    if matrix is None:
        raise VectorFileError(f"{path}: a {'.'.join(root.what)} of gensim without vectors; save its KeyedVectors (.wv)")
    listed = _words(path, state)
    if len(listed) != len(matrix):
        raise VectorFileError(f"{path}: {len(listed)} words, but {len(matrix)} rows of vectors")
    if ngrams is not None and ngrams.vectors.shape[1] != matrix.shape[1]:
        raise VectorFileError(f"{path}: n-grams of dimension {ngrams.vectors.shape[1]}, but words of "
                              f"{matrix.shape[1]}")
    chosen = select(listed, selection)
    rows = gather(matrix, chosen)
    if vectors is None and ngrams is not None:  # gensim does not save the composed vectors of FastText
        rows = compose_words(list(chosen), rows, ngrams)
    return VectorRows(list(chosen), rows, ngrams)


def _array(path: Path, state: Mapping[str, Any], prefix: str, *names: str) -> NDArray[Any] | None:
    """Return the first array of these names that exists: in the pickle, or in a ``.npy`` file."""
    for name in names:
        array = as_array(state.get(name))
        if array is None:
            npy = Path(f"{path}{prefix}.{name}.npy")
            if npy.is_file():
                array = open_npy(npy)
            elif name in _stored_separately(state):
                raise VectorFileError(f"{path}: its array {npy} is missing; copy it to the same folder")
        if array is not None and array.ndim == 2:
            return array
    return None


def _stored_separately(state: Mapping[str, Any]) -> list[Any]:
    stored = state.get("__numpys")
    return stored if isinstance(stored, list) else []


def _words(path: Path, state: Mapping[str, Any]) -> list[str]:
    for name in ("index_to_key", "index2word"):
        listed = state.get(name)
        if isinstance(listed, list) and listed:
            return list(map(str, listed))
    rows = state.get("key_to_index")
    if isinstance(rows, dict) and all(type(row) is int for row in rows.values()):
        return [str(word) for word in sorted(rows, key=rows.__getitem__)]
    raise VectorFileError(f"{path}: vectors of gensim without a list of words; save them again")


def _ngrams(path: Path, state: Mapping[str, Any], prefix: str) -> NgramVectors | None:
    min_n, max_n = state.get("min_n"), state.get("max_n")
    vectors = _array(path, state, prefix, "vectors_ngrams", "syn0_ngrams")
    if vectors is None or not len(vectors):
        return None
    if not (type(min_n) is int and type(max_n) is int and min_n >= 0 and 0 <= max_n <= MAX_N):
        raise VectorFileError(f"{path}: broken FastText vectors: n-grams of {min_n!r} to {max_n!r} characters")
    return NgramVectors(vectors.astype(np.float32, copy=False), min_n=min_n, max_n=max_n)


def _unpickled(path: Path, selection: RowSelection) -> VectorRows:
    """Unpickle, which may execute arbitrary code, and take vectors from a dict or from gensim's objects."""
    try:
        with path.open("rb") as file:
            loaded = pickle.load(file)  # requested by --trust-pickle
    except Exception as error:  # code of the file was executed
        raise VectorFileError(f"{path}: cannot be unpickled ({type(error).__name__}: {error})") from error
    loaded = getattr(loaded, "wv", loaded)
    if hasattr(loaded, "index_to_key") and hasattr(loaded, "vectors"):
        loaded = dict(zip(loaded.index_to_key, loaded.vectors, strict=True))
    if not (isinstance(loaded, Mapping) and loaded and all(isinstance(word, str) for word in loaded)):
        raise VectorFileError(f"{path}: a pickle of a {type(loaded).__name__}; expected a dict from words to vectors, "
                              "or gensim's vectors")
    chosen = select(loaded, selection)
    try:
        vectors = np.array([loaded[word] for word in chosen], dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise VectorFileError(f"{path}: the vectors are not all numbers of one dimension ({error})") from error
    return VectorRows(list(chosen), vectors if vectors.ndim == 2 else vectors.reshape(len(chosen), -1))
