"""Word vectors of spaCy pipelines: the files ``vectors``, ``key2row``, ``strings.json`` and ``vectors.cfg`` of a vocab.

Format: https://spacy.io/api/vectors. ``vectors`` is a numpy array, ``key2row`` a MessagePack map from the key of each
word (:mod:`embeddings.formats.spacy_strings`) to its row, and ``strings.json`` the list of words. Several words may
have the same row, since pruned vectors map rare words to the most similar vector. spaCy itself is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import MemoryMappedFormat, RowSelection, VectorRows, vector_format
from embeddings.formats.npy import MAGIC, open_npy
from embeddings.formats.spacy_strings import Keys, keys_of
from embeddings.table.memmap import ROWS_PER_BLOCK, concatenate_rows
from embeddings.table.row_maps import Vectors

VOCAB = "vocab"
VECTORS, KEYS, STRINGS, SETTINGS = "vectors", "key2row", "strings.json", "vectors.cfg"
DEFAULT_MODE = "default"


@vector_format("spaCy vectors")
class SpacyVectors(MemoryMappedFormat):
    """The file ``vectors`` of a spaCy vocab; the words of its rows are in the files beside it."""

    priority = -10  # before any other numpy array

    def matches(self, stream: Stream, start: bytes) -> bool:
        """Check the signature of a numpy array, and that a map from words to rows is in the same folder."""
        return start.startswith(MAGIC) and stream.path is not None and stream.path.with_name(KEYS).is_file()

    def read_path(self, path: Path, selection: RowSelection) -> VectorRows:
        """Read the vectors of the selected words; a row that several of them have is repeated.

        The words are in the order of ``key2row``, which is that of the rows. A frequent word that was not requested is
        left out if its lower-case form has the same row.
        """
        _check_mode(path)
        matrix = open_npy(path)
        if not len(matrix):
            raise VectorFileError(f"{path}: the pipeline has no word vectors, like all whose names end in _sm; use one "
                                  "whose name ends in _md or _lg")
        chosen = _select(path, _read_keys(path, len(matrix)), selection)
        rows = np.fromiter(chosen.values(), np.intp, len(chosen))
        vectors = concatenate_rows(_blocks(matrix, rows)) if chosen else np.zeros((0, matrix.shape[1]), np.float32)
        return VectorRows(list(chosen), vectors)


def vectors_in(folder: Path) -> Path | None:
    """Return the vectors in the folder of a pipeline or of its vocab, or None."""
    for vocab in (folder / VOCAB, folder):
        if (vocab / VECTORS).is_file() and (vocab / KEYS).is_file():
            return vocab / VECTORS
    return None


def files_of(vectors: Path) -> list[Path]:
    """Return the files that decide which words have which vectors."""
    return [path for name in (VECTORS, KEYS, STRINGS, SETTINGS) if (path := vectors.with_name(name)).is_file()]


@dataclass(frozen=True)
class _KeyIndex:
    """The entries of ``key2row``, in the order of the file.

    Attributes:
        rows: row of each entry, negative for none. *Shape:* ``(n_entries,)``.
        sorted_keys: keys in ascending order. *Shape:* ``(n_entries,)``.
        entries: entry of each of the sorted keys. *Shape:* ``(n_entries,)``.
    """

    rows: NDArray[np.int64]
    sorted_keys: Keys
    entries: NDArray[np.intp]

    def find(self, words: Collection[str], limit: int) -> dict[str, int]:
        """Return the words that are among the first ``limit`` entries and have a vector, with their entries."""
        if not len(self.rows):
            return {}
        listed = list(words)
        keys = keys_of(listed)
        near = np.searchsorted(self.sorted_keys, keys).clip(max=len(self.rows) - 1)
        entries = self.entries[near]
        found = np.flatnonzero((self.sorted_keys[near] == keys) & (self.rows[entries] >= 0) & (entries < limit))
        return dict(zip(map(listed.__getitem__, found.tolist()), entries[found].tolist(), strict=True))


def _select(path: Path, index: _KeyIndex, selection: RowSelection) -> dict[str, int]:
    """Return the selected words and their rows, in the order of ``key2row``."""
    limit = len(index.rows) if selection.limit is None else selection.limit
    rows = index.rows.tolist()
    if selection.words is None:
        entries = index.find(_read_strings(path), limit)
    else:
        entries = index.find(selection.words, limit)
        if selection.n_frequent:
            frequent = index.find(_read_strings(path), min(limit, selection.n_frequent))
            rows_of = {word: rows[entry] for word, entry in frequent.items()}
            entries |= {word: entry for word, entry in frequent.items()
                        if (lower := word.lower()) == word or rows_of.get(lower) != rows_of[word]}
    return {word: rows[entries[word]] for word in sorted(entries, key=entries.__getitem__)}


def _blocks(matrix: NDArray[Any], rows: NDArray[np.intp]) -> Iterator[Vectors]:
    with np.errstate(over="ignore"):  # a float64 outside float32 becomes infinite, which is reported with its word
        for start in range(0, len(rows), ROWS_PER_BLOCK):
            yield matrix[rows[start : start + ROWS_PER_BLOCK]].astype(np.float32, copy=False)


def _check_mode(vectors: Path) -> None:
    """Refuse vectors that are not a table of words (floret: https://github.com/explosion/floret)."""
    path = vectors.with_name(SETTINGS)
    if not path.is_file():  # spaCy before version 3.2, which had no other mode
        return
    try:
        mode = json.loads(path.read_text(encoding="utf-8"))["mode"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise VectorFileError(f"{path}: not the settings of spaCy vectors ({error}); install the pipeline again"
                              ) from error
    if mode != DEFAULT_MODE:
        raise VectorFileError(f"{vectors}: vectors of the mode {mode!r}, which have no list of words, are not "
                              "supported; use a pipeline with vectors of the mode 'default'")


def _read_keys(vectors: Path, n_rows: int) -> _KeyIndex:
    import msgpack

    path = vectors.with_name(KEYS)
    try:
        listed = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
        if not isinstance(listed, dict):
            raise ValueError("it is not a map")
        keys = np.fromiter(listed.keys(), np.uint64, len(listed))
        rows = np.fromiter(listed.values(), np.int64, len(listed))
    except Exception as error:  # msgpack and numpy raise many classes
        raise VectorFileError(f"{path}: not a map from words to rows ({error}); install the pipeline again") from error
    if len(rows) and rows.max() >= n_rows:
        raise VectorFileError(f"{path}: refers to row {rows.max()}, but {vectors.name} has {n_rows} rows; install the "
                              "pipeline again")
    order = np.argsort(keys, kind="stable")
    return _KeyIndex(rows, keys[order], order)


def _read_strings(vectors: Path) -> list[str]:
    """Return the distinct words of ``strings.json``."""
    path = vectors.with_name(STRINGS)
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(listed, list) or not all(isinstance(word, str) for word in listed):
            raise ValueError("it is not a list of words")
    except (OSError, ValueError, RecursionError) as error:
        raise VectorFileError(f"{path}: not the list of words of the vectors ({error}); install the pipeline again"
                              ) from error
    return list(dict.fromkeys(listed))
