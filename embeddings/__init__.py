"""Stage one: words to vectors. Useful by itself; knows nothing of tasks, models or commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embeddings.loading import load_vectors
    from embeddings.table import EmbeddingTable
    from embeddings.tokenization.tokenizer import WordTokenizer

# Looked up when asked for: whoever needs a table alone does not wait for the readers of files.
_HOMES = {
    "EmbeddingTable": "embeddings.table",
    "WordTokenizer": "embeddings.tokenization.tokenizer",
    "load_vectors": "embeddings.loading",
}

__all__ = ["EmbeddingTable", "WordTokenizer", "load_vectors"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'embeddings' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
