"""The embedding table: the result of stage one and the input of stage two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embeddings.table.table import EmbeddingTable

__all__ = ["EmbeddingTable"]


def __getattr__(name: str) -> Any:  # imported on first access: other modules of the package do not need NumPy
    if name not in __all__:
        raise AttributeError(f"module 'embeddings.table' has no attribute {name!r}")
    from embeddings.table.table import EmbeddingTable

    return EmbeddingTable
