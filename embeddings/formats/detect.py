"""Reading of vector files in any format, which is detected by content, never by file name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from embeddings.compressed_files import Stream, open_location, refuse_tar, split_location
from embeddings.errors import VectorFileError
from embeddings.formats.interface import FORMATS, Format, RowSelection, VectorRows
from embeddings.formats.spacy_vectors import vectors_in
from embeddings.table.atomic_files import restore
from embeddings.table.memmap import row_blocks

TABLE_OF_A_RUN = "embeddings.safetensors"
SAMPLE = 2**16  # bytes that formats may inspect


def read_vectors(location: str | Path, selection: RowSelection = RowSelection()) -> VectorRows:  # noqa: B008 (frozen)
    """Read the selected rows of a vector file.

    Args:
        location: a file, ``archive.zip!member``, or the folder of a run or of a spaCy pipeline, whose table is read.
        selection: the rows to read.

    Raises:
        VectorFileError: if the file is missing, empty or broken, or contains a vector that is not finite.
    """
    with open_location(_vectors_of_folder(location)) as stream:
        rows = _detect(stream).read(stream, selection)
    if not rows.vectors.shape[1]:
        raise VectorFileError(f"{location}: vectors of dimension 0")
    for place, (block,) in row_blocks(rows.vectors):
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            word = rows.words[place][int(finite.argmin())]
            raise VectorFileError(f"{location}: the vector of {word!r} is not finite")
    return rows


def detect_format(location: str | Path) -> Format:
    """Detect the format of a vector file.

    Raises:
        VectorFileError: if the file is missing or empty.
    """
    with open_location(_vectors_of_folder(location)) as stream:
        return _detect(stream)


@cache
def formats() -> tuple[Format, ...]:
    """Return every format in the order of detection."""
    return tuple(sorted((cls() for cls in FORMATS.available.values()), key=lambda one: (one.priority, one.name)))


def _vectors_of_folder(location: str | Path) -> str | Path:
    """Return the table in the folder of a run or of a spaCy pipeline, and any other location unchanged."""
    path, _ = split_location(location)
    try:
        restore(path)
        return path / TABLE_OF_A_RUN if (path / TABLE_OF_A_RUN).is_file() else vectors_in(path) or location
    except OSError:  # the name is too long, which opening the file will report
        return location


def _detect(stream: Stream) -> Format:
    start = stream.file.peek(SAMPLE)[:SAMPLE]
    if not start:
        raise VectorFileError(f"{stream.name}: the file is empty")
    refuse_tar(start, stream.name)
    return next(one for one in formats() if one.matches(stream, start))
