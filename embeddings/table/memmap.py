"""Rows that stay in a file, mapped into memory: of many vectors only those that are looked at take any.

What was read of a mapped file counts as the process's memory until it is given back. So rows are gone through some at a
time, and each lot is given back before the next is read.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from embeddings.table.row_maps import Vectors

IN_MEMORY = 2**25    # bytes; rows that fill no more are not worth a file
ROWS_A_BLOCK = 4608  # gone through at a time; a multiple of what BLAS takes at once, so that products are the same
ROWS_A_LOT = 512     # looked up at a time, anywhere: the system reads 64 KiB around each

Matrix = NDArray[Any]


class RowBuffer:
    """Rows that are added one after another: kept in memory while they are few, else in a file without a name."""

    def __init__(self) -> None:
        self._kept = bytearray()  # grows in place, where parts put together at the end would stand twice in memory
        self._file: IO[bytes] | None = None

    def add(self, raw: bytes) -> None:
        """Add rows, given as the bytes of their float32 numbers."""
        if self._file is not None:
            self._file.write(raw)
            return
        self._kept += raw
        if len(self._kept) > IN_MEMORY:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  (it goes when nothing maps it any more)
            self._file.write(self._kept)
            self._kept.clear()

    def vectors(self, dim: int) -> Vectors:
        """All that were added, float32. *Shape:* ``(n_rows, dim)``."""
        if self._file is None:
            return np.frombuffer(self._kept, np.float32).reshape(-1, dim)
        self._file.flush()
        return np.memmap(self._file, np.float32, "r").reshape(-1, dim)


def concatenate_rows(parts: Iterable[Vectors]) -> Vectors:
    """Put rows one after another, in memory or in a file as :class:`Rows`. *Shapes:* ``(n, dim)`` to ``(sum, dim)``."""
    rows, dim = RowBuffer(), 0
    for part in parts:
        rows.add(part.tobytes())
        dim = part.shape[1]
    return rows.vectors(dim)


def is_memmap(matrix: Matrix) -> bool:
    """Whether an array is a view of a mapped file, not a copy of one."""
    return getattr(matrix, "_mmap", None) is not None  # a copy is an np.memmap as well, but one without this


def row_blocks(*matrices: Matrix) -> Iterator[tuple[slice, list[Matrix]]]:
    """Go through matrices of as many rows, with the place of each block: at once, or if one is mapped bit by bit."""
    n_rows = len(matrices[0])
    step = ROWS_A_BLOCK if any(map(is_memmap, matrices)) else max(1, n_rows)
    for start in range(0, max(1, n_rows), step):
        place = slice(start, start + step)
        yield place, [np.asarray(matrix[place]) for matrix in matrices]
        for matrix in matrices:
            _give_back(matrix)


def map_rows(vectors: Vectors, change: Callable[[slice, Vectors], Vectors]) -> Vectors:
    """Put each block of :func:`blocks` and its place through a function; what becomes of a mapped file is one too."""
    if is_memmap(vectors):
        return concatenate_rows(change(place, rows) for place, (rows,) in row_blocks(vectors))
    return change(slice(None), np.asarray(vectors))


def row_batches(matrix: Matrix, rows: NDArray[np.intp]) -> Iterator[Vectors]:
    """Copies of rows, in the order given, as float32: all at once, or if the matrix is mapped some at a time."""
    step = ROWS_A_LOT if is_memmap(matrix) else max(1, len(rows))
    for start in range(0, max(1, len(rows)), step):
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite; the table refuses it by its word
            yield np.asarray(matrix[rows[start : start + step]]).astype(np.float32, copy=False)
        _give_back(matrix)


def take_rows(matrix: Matrix, rows: NDArray[np.intp]) -> Vectors:
    """Copy rows, in the order given, as float32; the copy of many rows of a mapped file is one too.

    Args:
        matrix: floats. *Shape:* ``(n_rows, dim)``.
        rows: their numbers. *Shape:* ``(n_taken,)``.

    Returns:
        *Shape:* ``(n_taken, dim)``.
    """
    return concatenate_rows(row_batches(matrix, rows)) if is_memmap(matrix) else next(row_batches(matrix, rows))


def _give_back(matrix: Matrix) -> None:
    """Take what was read of a mapped file out of this process's memory; the system still has it at hand."""
    if is_memmap(matrix) and hasattr(mmap, "MADV_DONTNEED"):
        matrix._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
