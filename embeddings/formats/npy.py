"""NumPy arrays (``.npy``) with a word list in the same folder.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import MemoryMappedFormat, RowSelection, VectorRows, is_encodable, vector_format
from embeddings.formats.word_list import list_path, select_rows
from embeddings.table import EmbeddingTable

MAGIC = b"\x93NUMPY"


@vector_format("numpy array")
class Npy(MemoryMappedFormat):
    """A matrix of floats in a ``.npy`` file; its words are in ``X.words.txt``, ``X.txt`` or ``vocab.txt``."""

    suffixes = (".npy",)

    def matches(self, stream: Stream, start: bytes) -> bool:
        """Check the signature."""
        return start.startswith(MAGIC)

    def read_path(self, path: Path, selection: RowSelection) -> VectorRows:
        """Read the selected rows."""
        return select_rows(path, open_npy(path), selection)

    def can_hold(self, word: str, dim: int, suffix: str) -> bool:
        """Refuse words that contain or end with a line break."""
        return "\n" not in word and not word.endswith("\r") and is_encodable(word)

    def write(self, table: EmbeddingTable, path: Path) -> None:
        """Write the array and the word list."""
        np.save(path, table.vectors, allow_pickle=False)
        list_path(path).write_bytes("".join(f"{word}\n" for word in table.words).encode())


def open_npy(path: Path) -> NDArray[Any]:
    """Memory-map a two-dimensional ``.npy`` file of floats; pickled objects are refused.

    Raises:
        VectorFileError: if the file is missing or broken, or contains another array.
    """
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy evaluates the header with Python's parser, which raises many classes
        raise VectorFileError(f"{path}: not a readable numpy array of numbers ({error})") from error
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind != "f":
        raise VectorFileError(f"{path}: expected a two-dimensional array of floats, with one row per word")
    return np.asarray(matrix)
