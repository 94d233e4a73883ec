"""Loading of word vectors in one call."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from embeddings.compressed_files import is_file_location
from embeddings.progress import Progress, silent
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.specification.grammar import quoted
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import DEFAULT_POLICY, MISSING, ZERO, OOVPolicy
from embeddings.transforms import apply_transforms


def load_vectors(
    path_or_specification: str | Path,
    vocabulary: Iterable[str] | None = None,
    *,
    transforms: Iterable[str] = (),
    unknown: OOVPolicy = DEFAULT_POLICY,
    texts: Iterable[str] | None = None,
    seed: int = 1,
    trust_pickle: bool = False,
    progress: Progress = silent,
) -> EmbeddingTable:
    """Load or train word vectors.

    Args:
        path_or_specification: a vector file in any format, or a source such as ``glove``, ``word2vec,dim=200`` or
            ``glove:vectors.txt+fasttext``.
        vocabulary: the requested words; by default all words of the source.
        transforms: transforms to apply, in order: ``("all-but-the-top:2", "unit")``.
        unknown: out-of-vocabulary policy for words that the source does not list.
        texts: training texts of ``word2vec`` and ``fasttext``.
        seed: seed of all random numbers.
        trust_pickle: allow pickle files, which can execute arbitrary code.
        progress: progress callback.

    Returns:
        A table. With a vocabulary it contains the words that have a vector, in the given order; if the policy ends in
        ``zero``, all of them.

    Raises:
        EmbeddingError: if the specification, the file or the text is invalid.

    Example:
        >>> table = load_vectors("glove", vocabulary=["the", "transformer"])
        >>> table.vectors.shape
        (2, 50)
    """
    is_path = isinstance(path_or_specification, Path) or is_file_location(path_or_specification)
    specification = f"file:{quoted(path_or_specification)}" if is_path else str(path_or_specification)
    words = None if vocabulary is None else dict.fromkeys(vocabulary, 1)
    request = VectorRequest(vocabulary=words, texts=texts, seed=seed, unknown=unknown, trust_pickle=trust_pickle,
                            progress=progress)
    table = apply_transforms(sources.load(specification, request), transforms, request)
    if words is None:
        return table
    found = table.lookup(words, unknown)
    if unknown.last == ZERO:
        return found.filled(seed, ZERO)
    return found.where(why != MISSING for why in found.provenance)
