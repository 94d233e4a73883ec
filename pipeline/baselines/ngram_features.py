"""TF-IDF of hashed n-grams, as a transformer of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from embeddings.tokenization.ngrams import NgramHasher, Sparse, inverse_document_frequency, renumber_columns, tfidf

BUCKETS = 2**22    # so many that few n-grams share one
BUCKET_BYTES = 20  # frequency, IDF and column of a bucket, and working memory
COPIES = 1.2       # of the counts, whose estimate leaves out that words are often next to punctuation


class NgramTfidf(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Convert texts to TF-IDF of n-grams of words, and of characters within words.

    The features are those of scikit-learn's ``TfidfVectorizer`` with ``sublinear_tf``, except where n-grams share a
    bucket; they take no dictionary of the n-grams, which needs many times the memory of short texts.

    Args:
        words: length of the longest n-gram of words.
        characters: lengths of the shortest and the longest n-gram of characters; None for words only.
    """

    def __init__(self, words: int = 2, characters: tuple[int, int] | None = None) -> None:
        self.words, self.characters = words, characters

    def bytes_for(self, texts: Sequence[str]) -> float:
        """Estimate the memory in bytes that fitting to texts takes."""
        return BUCKET_BYTES * BUCKETS + self._hasher.bytes_for(texts, COPIES)

    def fit(self, texts: Sequence[str], _labels: Any = None) -> NgramTfidf:
        """Count in how many texts each n-gram occurs."""
        self._fit(texts)
        return self

    def fit_transform(self, texts: Sequence[str], _labels: Any = None, **_options: Any) -> Sparse:
        """Fit, and convert the same texts. *Shape:* ``(n_texts, n_used_buckets)``, float32."""
        return self._rows(self._fit(texts))

    def transform(self, texts: Sequence[str]) -> Sparse:
        """Convert texts; n-grams that no training text has are ignored. *Shape:* as :meth:`fit_transform`."""
        return self._rows(self._hasher.counts(texts))

    def _fit(self, texts: Sequence[str]) -> Sparse:
        counts = self._hasher.counts(texts)
        self.idf_ = inverse_document_frequency(counts)                                      # (BUCKETS,)
        used = self.idf_ > 0
        self.column_ = np.cumsum(used, dtype=np.int32)                                      # (BUCKETS,)
        self.column_ -= 1
        self.n_features_ = int(used.sum())
        return counts

    @property
    def _hasher(self) -> NgramHasher:
        return NgramHasher(self.words, self.characters, BUCKETS)

    def _rows(self, counts: Sparse) -> Sparse:
        return renumber_columns(tfidf(counts, self.idf_, overwrite=True), self.column_, self.n_features_)
