"""The value that stage one hands to stage two, and everything that it is made of."""

from embeddings.table.table import EmbeddingTable

__all__ = ["EmbeddingTable"]
