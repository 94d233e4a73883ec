"""Word vectors out of any file: text, word2vec, fastText, safetensors, numpy, gensim; plain, gzip or in a zip."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from embeddings.formats.to_table import read_file
from embeddings.request import VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable

log = logging.getLogger("vecformer")


@source("file")
@dataclass(frozen=True)
class File:
    """Reads any file of word vectors; what it is is told by its content.

    Attributes:
        path: a file, or ``archive.zip!member``, or the folder of a run.
        limit: read no more than this many rows; most files list frequent words first.
    """

    path: Path
    limit: Annotated[int, Ge(1)] | None = None

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Read the rows of the words asked for, and of the most frequent others."""
        return read_file(self.path, self.limit, request, f"file:{self.path}")
