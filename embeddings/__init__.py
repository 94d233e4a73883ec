"""Stage one: words to vectors. Useful by itself; knows nothing of tasks, models or commands."""

from embeddings.loading import load_vectors
from embeddings.table import EmbeddingTable
from embeddings.words.tokenization import WordTokenizer

__all__ = ["EmbeddingTable", "WordTokenizer", "load_vectors"]
