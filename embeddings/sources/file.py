"""Word vectors from a file of any format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from embeddings.formats.to_table import read_file
from embeddings.request import Origin, VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.paths import written
from embeddings.tokenization.subwords import SubwordTokenizer
from embeddings.tokenization.tokenizer import stored_units


@source("file")
@dataclass(frozen=True)
class File:
    """Reads a file of word vectors; the format is detected by content. Plain, compressed or in a zip archive."""

    example: ClassVar[str] = "file:vectors.bin,limit=100000"

    path: Annotated[Path, Field(description="vector file, archive.zip!member, or the folder of a run")]
    limit: Annotated[int | None, Field(ge=1, description=(
        "maximum number of rows to read, such as 100000; most files list frequent words first"))] = None

    @property
    def reads_tokens(self) -> bool:
        """Whether this is the folder of a run with subwords, whose rows are those of the tokens."""
        return stored_units(self.path / "tokenizer.json") == SubwordTokenizer.units

    def origins(self) -> list[Origin]:
        """Return the name of the file; its licence is unknown."""
        return [Origin(f"the file {written(self.path)}")]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Read the rows of the requested words and of the most frequent others."""
        return read_file(self.path, self.limit, request, f"file:{written(self.path)}")
