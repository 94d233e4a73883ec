"""Vectors from co-occurrence counts, in place of vectors that would have to be trained by gensim.

Word2Vec with negative sampling implicitly factorises a matrix of pointwise mutual information (Levy & Goldberg 2014,
"Neural Word Embedding as Implicit Matrix Factorization"); a truncated SVD of that matrix takes a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.gensim_training.trainer import TrainingOptions
from embeddings.request import VectorRequest
from embeddings.table import EmbeddingTable
from embeddings.tokenization.interning import token_interner

SMOOTHING = 0.75  # exponent of the context counts (Levy, Goldberg & Dagan 2015)
SPREAD = 0.15     # standard deviation of the entries, about that of gensim's vectors of 4,000 short texts
COMPOSES = "fasttext"  # the source whose n-grams give a vector to every word


class Counted(NamedTuple):
    """Vectors of all words of a text.

    Attributes:
        words: the words.
        totals: number of occurrences of each. *Shape:* ``(n_words,)``.
        vectors: float32. *Shape:* ``(n_words, dim)``.
    """

    words: list[str]
    totals: NDArray[np.int64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class TextCounts:
    """Source of vectors from the co-occurrence counts of the request's texts.

    Attributes:
        options: the options of the training that it replaces: dimension, window and minimum count.
        counted: results by dimension and window, for further sources on the same texts.
    """

    options: TrainingOptions
    counted: dict[tuple[int, int], Counted] = field(default_factory=dict)

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Count the words of the texts and factorise the counts."""
        options = self.options
        size = options.dim, options.window
        if size not in self.counted:
            self.counted[size] = count_words(request, *size)
        words, totals, vectors = self.counted[size]
        rows = np.flatnonzero(totals >= (1 if options.name == COMPOSES else options.min_count))
        if not len(rows):
            raise EmbeddingError(f"{options.name}: no word occurs {options.min_count} times in the texts; write "
                                 f"{options.name},min_count=1")
        return EmbeddingTable.known([words[row] for row in rows], vectors[rows], options.name)


def count_words(request: VectorRequest, dim: int, window: int) -> Counted:
    """Tokenize the texts of a request, count words and contexts, and factorise the counts."""
    interner = token_interner(())
    ids = request.tokenizer.intern(list(request.texts or ()), interner)
    words = [interner[i] for i in range(len(interner))]
    totals = np.bincount(np.concatenate([*ids, np.zeros(0, np.int32)]), minlength=len(words))
    return Counted(words, totals, count_vectors(ids, len(words), dim=dim, window=window, seed=request.seed))


def is_trained_on_text(source: Any) -> TypeGuard[TrainingOptions]:
    """Return whether gensim would train a source from the beginning, and not read or continue from a file."""
    return isinstance(source, TrainingOptions) and source.path is None and source.start is None


def count_vectors(
    ids: Sequence[NDArray[np.int32]], n_words: int, *, dim: int, window: int, seed: int = 1
) -> NDArray[np.float32]:
    """Factorise the positive pointwise mutual information of words and their contexts.

    Contexts are weighted by their distance as in Word2Vec: ``(window + 1 - distance) / window``.

    Args:
        ids: the ids of the words of each text, below ``n_words``.
        n_words: number of words.
        dim: dimension of the vectors.
        window: context words on each side.
        seed: seed of the randomised SVD.

    Returns:
        float32. *Shape:* ``(n_words, dim)``; zeros in the dimensions beyond the rank.
    """
    from sklearn.utils.extmath import randomized_svd

    information = mutual_information(ids, n_words, window=window)
    vectors = np.zeros((n_words, dim), np.float32)
    rank = min(dim, n_words)
    if not rank:
        return vectors
    left, singular, _ = randomized_svd(information, rank, n_iter=2, random_state=seed)
    vectors[:, :rank] = left * np.sqrt(singular)
    spread = float(vectors.std())
    return vectors * np.float32(SPREAD / spread) if spread else vectors


def mutual_information(ids: Sequence[NDArray[np.int32]], n_words: int, *, window: int) -> Any:
    """Compute the positive pointwise mutual information. *Shape:* ``(n_words, n_words)``, sparse, float64."""
    from scipy.sparse import coo_array

    together = np.concatenate([*ids, np.zeros(0, np.int32)])
    text = np.repeat(np.arange(len(ids)), [len(one) for one in ids])
    counts = coo_array((n_words, n_words), dtype=np.float64).tocsr()
    for distance in range(1, min(window, max(len(together) - 1, 0)) + 1):
        same = text[:-distance] == text[distance:]
        rows, columns = together[:-distance][same], together[distance:][same]
        weight = np.full(len(rows), (window + 1 - distance) / window)
        counts = counts + coo_array((weight, (rows, columns)), shape=(n_words, n_words)).tocsr()
    counts = (counts + counts.T).tocoo()
    totals = np.asarray(counts.sum(axis=1)).ravel()
    contexts = totals**SMOOTHING / max((totals**SMOOTHING).sum(), 1e-12)
    information = np.log(counts.data / (totals[counts.row] * contexts[counts.col]))
    return coo_array((np.maximum(information, 0), (counts.row, counts.col)), shape=counts.shape).tocsr()
