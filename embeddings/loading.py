"""Word vectors in one call."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from embeddings.progress import Progress, silent
from embeddings.sources import registry
from embeddings.sources.request import VectorRequest
from embeddings.table import EmbeddingTable


def load_vectors(
    path_or_specification: str | Path,
    vocabulary: Iterable[str] | None = None,
    *,
    texts: Iterable[str] | None = None,
    seed: int = 1,
    progress: Progress = silent,
) -> EmbeddingTable:
    """Load or train word vectors.

    Args:
        path_or_specification: a text file of vectors, or a source such as ``glove``, ``word2vec,dim=200``,
            ``glove:vectors.txt+fasttext``.
        vocabulary: keep just these words; by default all that the source knows.
        texts: what ``word2vec`` and ``fasttext`` learn from.
        seed: decides everything random.
        progress: called with what is being done and the share that is done.

    Returns:
        A table; with a vocabulary, of those of its words that the source knows (in any spelling or by n-grams), in its
        order.

    Raises:
        EmbeddingError: if the specification, the file or the text is not in order.

    Example:
        >>> table = load_vectors("glove", vocabulary=["the", "transformer"])
        >>> table.vectors.shape
        (2, 50)
    """
    is_path = isinstance(path_or_specification, Path) or Path(path_or_specification).is_file()
    specification = f"glove:{path_or_specification}" if is_path else str(path_or_specification)
    words = None if vocabulary is None else dict.fromkeys(vocabulary, 1)
    request = VectorRequest(vocabulary=words, texts=texts, seed=seed, progress=progress)
    table = registry.load(specification, request)
    if words is None:
        return table
    found = table.lookup(words)
    return found.where(why != "missing" for why in found.provenance)
