"""What gensim's ``save`` writes: a pickle of KeyedVectors or of a model that has some, big arrays in ``.npy`` beside.

Read without unpickling: :mod:`embeddings.formats.pickles`. Any other pickle is unpickled on demand only.
"""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import VectorFileError
from embeddings.formats.fasttext_binary import MAX_N, compose_words
from embeddings.formats.interface import RowSelection, VectorRows, gather, select
from embeddings.formats.npy import open_npy
from embeddings.formats.pickles import CallRecord, GlobalName, UnreadablePickleError, as_array, parse_pickle
from embeddings.table.oov_composers import NgramVectors


def read_pickle(path: Path, selection: RowSelection) -> VectorRows:
    """Read the selection rows out of what gensim saved, or, if the pickle is trusted, out of a dict of vectors.

    Raises:
        VectorFileError: if it is anything else, broken, or an array that belongs to it is missing.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            root = parse_pickle(mapped)
    except UnreadablePickleError as error:
        if selection.trust_pickle:
            return _unpickled(path, selection)
        raise VectorFileError(f"{path}: {error}; if it is a pickle whose origin you trust, unpickle it with "
                              "--trust-pickle") from error
    if _is_gensims(root):
        return _of_gensim(path, root, selection)
    if selection.trust_pickle:
        return _unpickled(path, selection)
    raise VectorFileError(f"{path}: a pickle of {_kind(root)}, not of gensim's vectors. Unpickling can run any code: "
                          "if you trust where it comes from, say --trust-pickle")


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
        raise VectorFileError(f"{path}: n-grams of width {ngrams.vectors.shape[1]}, but words of {matrix.shape[1]}")
    chosen = select(listed, selection)
    rows = gather(matrix, chosen)
    if vectors is None and ngrams is not None:  # FastText's own vectors are left out of what is saved
        rows = compose_words(list(chosen), rows, ngrams)
    return VectorRows(list(chosen), rows, ngrams)


def _array(path: Path, state: Mapping[str, Any], prefix: str, *names: str) -> NDArray[Any] | None:
    """An array by the first of its names that is there: in the pickle, or in the ``.npy`` beside it."""
    for name in names:
        array = as_array(state.get(name))
        if array is None:
            beside = Path(f"{path}{prefix}.{name}.npy")
            if beside.is_file():
                array = open_npy(beside)
            elif name in _stored_beside(state):
                raise VectorFileError(f"{path}: its array is missing: {beside} must stand beside it")
        if array is not None and array.ndim == 2:
            return array
    return None


def _stored_beside(state: Mapping[str, Any]) -> list[Any]:
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
    raise VectorFileError(f"{path}: gensim's vectors without a list of their words")


def _ngrams(path: Path, state: Mapping[str, Any], prefix: str) -> NgramVectors | None:
    min_n, max_n = state.get("min_n"), state.get("max_n")
    vectors = _array(path, state, prefix, "vectors_ngrams", "syn0_ngrams")
    if vectors is None or not len(vectors):
        return None
    if not (type(min_n) is int and type(max_n) is int and min_n >= 0 and 0 <= max_n <= MAX_N):
        raise VectorFileError(f"{path}: broken FastText vectors: n-grams of {min_n!r} to {max_n!r} characters")
    return NgramVectors(vectors.astype(np.float32, copy=False), min_n=min_n, max_n=max_n)


def _unpickled(path: Path, selection: RowSelection) -> VectorRows:
    """Unpickle, which runs whatever the file says, and take vectors from a dict or from gensim's objects."""
    try:
        with path.open("rb") as file:
            loaded = pickle.load(file)  # asked for with --trust-pickle
    except Exception as error:  # code of the file's own was run
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
        raise VectorFileError(f"{path}: the vectors are not all numbers of one width ({error})") from error
    return VectorRows(list(chosen), vectors if vectors.ndim == 2 else vectors.reshape(len(chosen), -1))
