"""Tables of token vectors: one row per token, or shared rows with a mapping and a weight of each token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import VectorFileError
from embeddings.table.row_maps import Vectors
from embeddings.table.safetensors import Tensors

STATIC_MODEL = "embeddings"  # model2vec
STATIC_TABLES = (STATIC_MODEL, "embedding.weight")
"""Names of tables of static embeddings, whose file may contain a mapping and weights."""
MAPPING, WEIGHTS = "mapping", "weights"


@dataclass(frozen=True, eq=False)
class TokenTable:
    """Vectors of tokens: ``weights[token] * tensor[mapping[token]]``; rows are read on access.

    The format is that of model2vec's ``StaticModel``. An int8 table has no scale in its file: its integers are the
    vectors.

    Attributes:
        tensors: the file that contains the table.
        name: name of the table's tensor.
        mapping: row of each token; None if every token has its own. *Shape:* ``(n_tokens,)``, integers.
        weights: factor of each token; None for 1. *Shape:* ``(n_tokens,)``, float32.
    """

    tensors: Tensors
    name: str
    mapping: NDArray[np.integer[Any]] | None = None
    weights: NDArray[np.float32] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Number of tokens, and dimension."""
        n_rows, dim = self.tensors.shape(self.name)
        return n_rows if self.mapping is None else len(self.mapping), dim

    @property
    def has_vectors(self) -> bool:
        """Whether the table contains vectors: floats, or the int8 of model2vec, and not other integers."""
        return self.tensors.is_float(self.name) or (self.name == STATIC_MODEL and self.tensors.kind(self.name) == "I8")

    def rows(self, ids: NDArray[np.int64]) -> Vectors:
        """Return the vectors of tokens. *Shape:* ``(n_ids,)`` to ``(n_ids, dim)``, float32."""
        stored = self.tensors.rows(self.name, ids if self.mapping is None else self.mapping[ids])    # (n_ids, dim)
        vectors: Vectors = stored.astype(np.float32, copy=False)
        if self.weights is None:
            return vectors
        with np.errstate(over="ignore"):
            weighted: Vectors = vectors * self.weights[ids][:, None]
        return weighted


def token_table(tensors: Tensors, name: str) -> TokenTable:
    """Return the token vectors of a tensor, with the mapping and the weights that its file has for it.

    Raises:
        VectorFileError: if they do not belong to the tensor.
    """
    n_rows, _ = tensors.shape(name)
    mapping, weights = (_per_token(tensors, other) if name in STATIC_TABLES else None for other in (MAPPING, WEIGHTS))
    if mapping is not None and (not np.issubdtype(mapping.dtype, np.integer) or not len(mapping)
                                or mapping.min() < 0 or mapping.max() >= n_rows):
        raise VectorFileError(f"the tensor {MAPPING!r} does not contain numbers of the {n_rows} rows of {name!r}; "
                              "download or write the file again")
    n_tokens = n_rows if mapping is None else len(mapping)
    if weights is not None and (not tensors.is_float(WEIGHTS) or len(weights) != n_tokens):
        raise VectorFileError(f"the tensor {WEIGHTS!r} has {len(weights)} entries, which are not a factor of each of "
                              f"the {n_tokens} tokens; download or write the file again")
    return TokenTable(tensors, name, mapping, weights)


def _per_token(tensors: Tensors, name: str) -> NDArray[Any] | None:
    return tensors[name] if name in tensors and len(tensors.shape(name)) == 1 else None
