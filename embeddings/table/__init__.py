"""The embedding table: the result of stage one and the input of stage two."""

from embeddings.table.table import EmbeddingTable

__all__ = ["EmbeddingTable"]
