"""Safetensors files with a single matrix, and a word list in the same folder.

Format: https://huggingface.co/docs/safetensors#format
"""

from __future__ import annotations

from pathlib import Path

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import MemoryMappedFormat, RowSelection, VectorRows, vector_format
from embeddings.formats.word_list import select_rows
from embeddings.table.safetensors import open_tensors


@vector_format("safetensors")
class SafetensorsMatrix(MemoryMappedFormat):
    """The only two-dimensional tensor of a safetensors file."""

    priority = 20  # after vecformer's own tables, which are safetensors files too

    def matches(self, stream: Stream, start: bytes) -> bool:
        """Check the start of the header."""
        return is_safetensors(start)

    def read_path(self, path: Path, selection: RowSelection) -> VectorRows:
        """Read the selected rows."""
        tensors = open_tensors(path)
        matrices = [name for name in tensors if len(tensors.shape(name)) == 2]
        if len(matrices) != 1:
            raise VectorFileError(f"{path}: {len(matrices)} two-dimensional tensors instead of one; for the embeddings "
                                  "of a checkpoint write hf:FOLDER")
        return select_rows(path, tensors[matrices[0]], selection)


def is_safetensors(start: bytes) -> bool:
    """Return whether a file starts with the length of a header, below 2**40, and ``{``."""
    return start[8:9] == b"{" and start[5:8] == b"\0\0\0"
