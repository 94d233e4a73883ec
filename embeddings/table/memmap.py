"""Memory-mapped rows: large matrices stay in a file, and only the accessed rows occupy memory.

Pages that were read from a memory map count as memory of the process until they are released. Rows are therefore
processed in blocks, and the pages of each block are released before the next is read.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.table.row_maps import Vectors

MAX_IN_MEMORY = 2**25   # bytes; larger buffers are moved to a temporary file
ROWS_PER_BLOCK = 4608   # consecutive rows; a multiple of the block size of BLAS, so that products are bit-identical
ROWS_PER_BATCH = 512    # scattered rows; the system reads 64 KiB around each

Matrix = NDArray[Any]


@contextmanager
def reports_temporary_folder() -> Iterator[None]:
    """Turn an error in writing temporary files into one message, which names their folder.

    Raises:
        EmbeddingError: if they cannot be written.
    """
    try:
        yield
    except OSError as error:
        folder = os.environ.get("TMPDIR") or tempfile.gettempdir()
        raise EmbeddingError(f"{folder}: temporary files cannot be written there ({error.strerror or error}); free "
                             "space, or set TMPDIR to a folder with more") from error


class RowBuffer:
    """A growing buffer of rows: in memory while it is small, then in an anonymous temporary file."""

    def __init__(self) -> None:
        self._kept = bytearray()  # grows in place; joining parts at the end would need twice the memory
        self._file: IO[bytes] | None = None

    def add(self, raw: bytes) -> None:
        """Append rows, given as the bytes of their float32 numbers."""
        if self._file is None:
            self._kept += raw
            if len(self._kept) > MAX_IN_MEMORY:
                with reports_temporary_folder():
                    self._file = tempfile.TemporaryFile()  # noqa: SIM115  (removed when the last memory map is)
                    self._file.write(self._kept)
                self._kept.clear()
            return
        with reports_temporary_folder():
            self._file.write(raw)

    def vectors(self, dim: int) -> Vectors:
        """Return all rows, float32. *Shape:* ``(n_rows, dim)``."""
        if self._file is None:
            return np.frombuffer(self._kept, np.float32).reshape(-1, dim)
        with reports_temporary_folder():
            self._file.flush()
        return np.memmap(self._file, np.float32, "r").reshape(-1, dim)


def concatenate_rows(parts: Iterable[Vectors]) -> Vectors:
    """Concatenate rows in a :class:`RowBuffer`. *Shapes:* ``(n, dim)`` each to ``(sum of n, dim)``."""
    rows, dim = RowBuffer(), 0
    for part in parts:
        rows.add(part.tobytes())
        dim = part.shape[1]
    return rows.vectors(dim)


def is_memmap(matrix: Matrix) -> bool:
    """Return whether an array is a view of a memory-mapped file, not a copy."""
    return getattr(matrix, "_mmap", None) is not None  # a copy is an np.memmap too, but without this attribute


def row_blocks(*matrices: Matrix) -> Iterator[tuple[slice, list[Matrix]]]:
    """Yield slices and blocks of matrices with equally many rows: a single block, unless one is memory-mapped."""
    n_rows = len(matrices[0])
    step = ROWS_PER_BLOCK if any(map(is_memmap, matrices)) else max(1, n_rows)
    for start in range(0, max(1, n_rows), step):
        place = slice(start, start + step)
        yield place, [np.asarray(matrix[place]) for matrix in matrices]
        for matrix in matrices:
            release_pages(matrix)


def map_rows(vectors: Vectors, change: Callable[[slice, Vectors], Vectors]) -> Vectors:
    """Apply a function to each block and its slice; the result is memory-mapped if the vectors are."""
    if is_memmap(vectors):
        return concatenate_rows(change(place, rows) for place, (rows,) in row_blocks(vectors))
    return change(slice(None), np.asarray(vectors))


def row_batches(matrix: Matrix, rows: NDArray[np.intp]) -> Iterator[Vectors]:
    """Yield copies of rows as float32, in the given order: a single batch, unless the matrix is memory-mapped."""
    step = _rows_per_batch(matrix, rows) if is_memmap(matrix) else max(1, len(rows))
    for start in range(0, max(1, len(rows)), step):
        with np.errstate(over="ignore"):  # a float64 outside float32 becomes infinite; the table reports it
            yield np.asarray(matrix[rows[start : start + step]]).astype(np.float32, copy=False)
        release_pages(matrix)


def _rows_per_batch(matrix: Matrix, rows: NDArray[np.intp]) -> int:
    """Return how many of these rows of a memory map are in memory at a time: many if they are near one another."""
    distance = float(np.abs(np.diff(rows)).mean()) if len(rows) > 1 else 0.0
    return ROWS_PER_BLOCK if ROWS_PER_BLOCK * distance * matrix.strides[0] <= MAX_IN_MEMORY else ROWS_PER_BATCH


def take_rows(matrix: Matrix, rows: NDArray[np.intp]) -> Vectors:
    """Copy rows as float32, in the given order; many rows of a memory map are copied to another one.

    Args:
        matrix: floats. *Shape:* ``(n_rows, dim)``.
        rows: row numbers. *Shape:* ``(n_selected,)``.

    Returns:
        *Shape:* ``(n_selected, dim)``.
    """
    return concatenate_rows(row_batches(matrix, rows)) if is_memmap(matrix) else next(row_batches(matrix, rows))


def release_pages(matrix: Matrix) -> None:
    """Release the pages of a memory map from the process's memory; the system keeps them in its cache."""
    if is_memmap(matrix) and hasattr(mmap, "MADV_DONTNEED"):
        matrix._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
