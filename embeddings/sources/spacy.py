"""The static word vectors of spaCy pipelines such as ``en_core_web_md``; spaCy itself is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from embeddings.errors import EmbeddingError
from embeddings.formats.spacy_pipelines import declared_licence, find_vectors
from embeddings.formats.spacy_vectors import files_of
from embeddings.formats.to_table import read_file
from embeddings.request import Origin, VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable


@source("spacy")
@dataclass(frozen=True)
class Spacy:
    """Reads the word vectors of an installed spaCy pipeline, or of a pipeline's folder; spaCy is not needed.

    The vectors are those of its vocabulary (``nlp.vocab.vectors``), not the contextual output of its layers.
    """

    example: ClassVar[str] = "spacy:en_core_web_md"

    path: Annotated[str, Field(description=(
        "installed pipeline with vectors, such as en_core_web_md or de_core_news_lg, or the folder of one"))]
    limit: Annotated[int | None, Field(ge=1, description=(
        "maximum number of words to read, such as 100000, in the order of the pipeline's rows"))] = None

    def files(self) -> list[Path]:
        """Return the files of the vectors; none for a pipeline that is not installed."""
        try:
            return files_of(find_vectors(self.path))
        except EmbeddingError:  # load reports it
            return []

    def origins(self) -> list[Origin]:
        """Return the name of the pipeline, and the licence that it declares."""
        return [Origin(f"the vectors of the spaCy pipeline {self.path}", declared_licence(self.path))]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Read the vectors of the requested words and of others."""
        return read_file(find_vectors(self.path), self.limit, request, f"spacy:{self.path}")
