"""The word list of a matrix file: a text file with one word per line in the same folder.

The words of ``X.npy`` are in ``X.words.txt``, ``X.txt`` or ``vocab.txt``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from embeddings.errors import VectorFileError
from embeddings.formats.interface import RowSelection, VectorRows, gather, select
from embeddings.formats.text_encoding import decode_list


def select_rows(path: Path, matrix: NDArray[Any], selection: RowSelection) -> VectorRows:
    """Select rows of a matrix by the words of its list.

    Args:
        path: the matrix file.
        matrix: *Shape:* ``(n_words, dim)``.
        selection: the rows to read.

    Raises:
        VectorFileError: if there is no list, or its length differs from the number of rows.
    """
    listed, words_path = _read_words(path)
    if len(listed) != len(matrix):
        listed = [word for word in listed if word.strip()]  # blank lines between or after the words
    if len(listed) != len(matrix):
        raise VectorFileError(f"{words_path}: {len(listed)} words, but {path.name} has {len(matrix)} rows")
    chosen = select(listed, selection)
    return VectorRows(list(chosen), gather(matrix, chosen))


def list_path(path: Path) -> Path:
    """Return the path of the word list that is written for a matrix file."""
    return path.with_suffix(".words.txt")


def _read_words(path: Path) -> tuple[list[str], Path]:
    names = (list_path(path).name, f"{path.stem}.txt", "vocab.txt")
    for name in names:
        candidate = path.with_name(name)
        if candidate.is_file():
            lines = decode_list(candidate.read_bytes(), candidate).removesuffix("\n").split("\n")
            return [line.removesuffix("\r") for line in lines], candidate
    raise VectorFileError(f"{path}: its word list is missing; write the words, one per line, to {names[0]}")
