"""Vecformer's own tables (:mod:`embeddings.table.persistence`) as a file of word vectors."""

from __future__ import annotations

from pathlib import Path

from embeddings.errors import VectorFileError
from embeddings.formats.interface import RowSelection, VectorRows, gather, select
from embeddings.table.persistence import read_saved


def is_native(path: Path) -> bool:
    """Whether a safetensors file is a table's: a ``.json`` beside it lists words."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return False
    with beside.open("rb") as file:
        return file.read(10).startswith(b'{"source"')


def read_native(path: Path, selection: RowSelection) -> VectorRows:
    """Read the selection rows of a table.

    Raises:
        VectorFileError: as :func:`read_saved`, and if words, rows and provenance are not equally many.
    """
    saved = read_saved(path)
    if not len(saved.words) == len(saved.vectors) == len(saved.provenance) or saved.vectors.ndim != 2:
        raise VectorFileError(f"{path}: {len(saved.words)} words, {len(saved.vectors)} rows of vectors, "
                              f"{len(saved.provenance)} notes of provenance: not a table saved by vecformer")
    chosen = select(saved.words, selection)
    return VectorRows(
        words=list(chosen),
        vectors=gather(saved.vectors, chosen),
        composer=saved.composer,
        provenance=tuple(saved.provenance[row] for row in chosen.values()),
        transforms=saved.transforms,
    )
