"""A matrix and a list of words beside it: ``.npy``, or safetensors with one tensor of two axes.

The words of ``X.npy`` stand, one a line, in ``X.words.txt``, ``X.txt`` or ``vocab.txt`` in the same folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import VectorFileError
from embeddings.formats.interface import RowSelection, VectorRows, gather, select
from embeddings.table.safetensors import open_tensors


def open_npy(path: Path) -> NDArray[Any]:
    """Map a ``.npy`` file of floats with two axes into memory; one that holds pickled objects is refused.

    Raises:
        VectorFileError: if it is missing, broken, or holds something else.
    """
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy's parser of headers raises whatever Python's own parser does
        raise VectorFileError(f"{path}: not a numpy array of numbers that can be read ({error})") from error
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind != "f":
        raise VectorFileError(f"{path}: expected an array of floats with two axes, rows and columns")
    return np.asarray(matrix)


def read_npy(path: Path, selection: RowSelection) -> VectorRows:
    """Read the selection rows of a ``.npy`` file.

    Raises:
        VectorFileError: if the array is not in order, or no list of as many words stands beside it.
    """
    return _with_words(path, open_npy(path), selection)


def read_matrix_tensor(path: Path, selection: RowSelection) -> VectorRows:
    """Read the selection rows of the only tensor of two axes in a safetensors file.

    Raises:
        VectorFileError: if there is none or several, or no list of as many words stands beside it.
    """
    tensors = open_tensors(path)
    matrices = [name for name in tensors if len(tensors.shape(name)) == 2]
    if len(matrices) != 1:
        raise VectorFileError(f"{path}: {len(matrices)} tensors of two axes, where a file of vectors has one; the "
                              "embeddings of a checkpoint are read with hf:FOLDER")
    return _with_words(path, tensors[matrices[0]], selection)


def _with_words(path: Path, matrix: NDArray[Any], selection: RowSelection) -> VectorRows:
    listed, where = _words_beside(path)
    if len(listed) != len(matrix):
        raise VectorFileError(f"{where}: {len(listed)} words, but {path.name} has {len(matrix)} rows")
    chosen = select(listed, selection)
    return VectorRows(list(chosen), gather(matrix, chosen))


def _words_beside(path: Path) -> tuple[list[str], Path]:
    names = (f"{path.stem}.words.txt", f"{path.stem}.txt", "vocab.txt")
    for name in names:
        where = path.with_name(name)
        if where.is_file():
            lines = where.read_bytes().decode("utf-8", errors="replace").removesuffix("\n").split("\n")
            return [line.removesuffix("\r") for line in lines], where
    raise VectorFileError(f"{path}: no list of its words beside it; write them, one a line, to {names[0]}")
