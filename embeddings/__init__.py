"""Stage one: word vectors from files, pretrained models or training; usable without the other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embeddings.loading import load_vectors
    from embeddings.table import EmbeddingTable
    from embeddings.tokenization.tokenizer import WordTokenizer

# Imported on first access, so that importing the package is fast.
_MODULES = {
    "EmbeddingTable": "embeddings.table",
    "WordTokenizer": "embeddings.tokenization.tokenizer",
    "load_vectors": "embeddings.loading",
}

__all__ = ["EmbeddingTable", "WordTokenizer", "load_vectors"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'embeddings' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULES[name]), name)
