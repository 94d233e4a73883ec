"""Vecformer's own tables (:mod:`embeddings.table.persistence`): a safetensors file and a JSON file."""

from __future__ import annotations

from pathlib import Path

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import MemoryMappedFormat, RowSelection, VectorRows, gather, select, vector_format
from embeddings.formats.safetensors_matrix import is_safetensors
from embeddings.table import EmbeddingTable
from embeddings.table.persistence import read_saved


@vector_format("vecformer table")
class OwnTable(MemoryMappedFormat):
    """A table with provenance, transforms and n-gram vectors; a ``.json`` file of the same name lists its words."""

    priority = 10  # before any other safetensors file
    suffixes = (".safetensors",)
    keeps_composer = True

    def matches(self, stream: Stream, start: bytes) -> bool:
        """Check the start of the header and of the JSON file."""
        if not is_safetensors(start) or stream.path is None:
            return False
        description = stream.path.with_suffix(".json")
        if not description.is_file():
            return False
        with description.open("rb") as file:
            return file.read(10).startswith(b'{"source"')

    def read_path(self, path: Path, selection: RowSelection) -> VectorRows:
        """Read the selected rows."""
        saved = read_saved(path)
        if not len(saved.words) == len(saved.vectors) == len(saved.provenance) or saved.vectors.ndim != 2:
            raise VectorFileError(f"{path}: {len(saved.words)} words, {len(saved.vectors)} rows of vectors and "
                                  f"{len(saved.provenance)} provenance entries: not a table saved by vecformer")
        chosen = select(saved.words, selection)
        return VectorRows(
            words=list(chosen),
            vectors=gather(saved.vectors, chosen),
            composer=saved.composer,
            provenance=tuple(saved.provenance[row] for row in chosen.values()),
            transforms=saved.transforms,
        )

    def write(self, table: EmbeddingTable, path: Path) -> None:
        """Write the table."""
        table.save(path)
