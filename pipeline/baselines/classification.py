"""Baselines for classification, with scikit-learn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import DEFAULT_POLICY, MISSING, OOVPolicy
from embeddings.tokenization.arrays import GrowingArray
from embeddings.tokenization.interface import TextTokenizer
from embeddings.tokenization.interning import token_interner
from pipeline.baselines.linear import SAGA, logistic_regression, tfidf_chars_features, tfidf_features
from pipeline.baselines.selection import require_memory

N_AT_ONCE = 2**16  # texts whose means are computed at once


def majority(labels: Sequence[str], n: int) -> list[str]:
    """Return the most frequent training label, ``n`` times."""
    return [Counter(sorted(labels)).most_common(1)[0][0]] * n


def tfidf(
    train: Sequence[str], labels: Sequence[str], test: Sequence[str], *, seed: int = 1, max_gb: float = math.inf
) -> list[str]:
    """Predict labels by logistic regression on TF-IDF of unigrams and bigrams.

    Args:
        train: training texts.
        labels: label of each.
        test: test texts.
        seed: seed of the order in which the solver takes the examples.
        max_gb: limit of the memory of the fit, in GB.

    Raises:
        TooLargeError: if this needs more memory than ``max_gb``.
    """
    return _on_ngrams(train, labels, test, tfidf_features(), seed, max_gb)


def tfidf_chars(
    train: Sequence[str], labels: Sequence[str], test: Sequence[str], *, seed: int = 1, max_gb: float = math.inf
) -> list[str]:
    """Predict labels by logistic regression on TF-IDF of n-grams of 1 or 2 words and of 2 to 5 characters.

    Arguments and exceptions: see :func:`tfidf`.
    """
    return _on_ngrams(train, labels, test, tfidf_chars_features(), seed, max_gb)


def _on_ngrams(
    train: Sequence[str], labels: Sequence[str], test: Sequence[str], features: Any, seed: int, max_gb: float
) -> list[str]:
    require_memory(features.bytes_for(train), f"{len(train):,} training texts", max_gb)
    return logistic_regression(train, labels, test, features=features, C=10, random_state=seed, max_gb=max_gb, **SAGA)


class MeanVectors:
    """Represent a text by the mean of its word vectors; words without a vector are ignored.

    Args:
        table: word vectors.
        tokenizer: splits texts into words.
        policy: fallbacks for out-of-vocabulary words.
    """

    def __init__(
        self, table: EmbeddingTable, tokenizer: TextTokenizer, policy: OOVPolicy = DEFAULT_POLICY
    ) -> None:
        self.table, self.tokenizer, self.policy = table, tokenizer, policy

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Compute the means. *Shape:* ``(n_texts, dim)``, float32; zeros for a text without any vector."""
        words, ids, lengths = token_interner(()), GrowingArray(np.int32), GrowingArray(np.int64)
        for start in range(0, len(texts), N_AT_ONCE):
            rows = self.tokenizer.intern(texts[start:start + N_AT_ONCE], words)
            ids.append(np.concatenate(rows))
            lengths.append(np.array([len(row) for row in rows], dtype=np.int64))
        found = self.table.lookup([words[i] for i in range(len(words))], self.policy)
        is_known = np.array([why != MISSING for why in found.provenance], dtype=bool)       # (n_words,)
        bounds = np.concatenate([[0], lengths.finished().cumsum()])                         # (n_texts + 1,)
        all_ids, means = ids.finished(), np.zeros((len(texts), self.table.dim), dtype=np.float32)
        for start in range(0, len(texts), N_AT_ONCE):
            of_part = bounds[start:start + N_AT_ONCE + 1]
            part = all_ids[of_part[0]:of_part[-1]]                                          # (n_tokens,)
            means[start:start + N_AT_ONCE] = _mean_rows(part, of_part - of_part[0], is_known, found.vectors)
        return means


def _mean_rows(
    ids: NDArray[np.int32], bounds: NDArray[np.int64], is_known: NDArray[np.bool_], vectors: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Compute the mean vector of the known words of each text.

    Args:
        ids: numbers of the words of all texts. *Shape:* ``(n_tokens,)``.
        bounds: position of the first word of each text, and their number. *Shape:* ``(n_texts + 1,)``.
        is_known: whether each word has a vector. *Shape:* ``(n_words,)``.
        vectors: *Shape:* ``(n_words, dim)``.

    Returns:
        *Shape:* ``(n_texts, dim)``, float64; zeros for a text without a known word.
    """
    from scipy.sparse import csr_matrix

    kept = is_known[ids]                                                                    # (n_tokens,)
    ends = np.concatenate([[0], kept.cumsum()])[bounds]                                     # (n_texts + 1,)
    counts = csr_matrix((np.ones(ends[-1]), ids[kept], ends), shape=(len(ends) - 1, len(vectors)))
    means: NDArray[np.float64] = counts @ vectors / np.maximum(np.diff(ends), 1)[:, None]
    return means


def logistic_regression_on_means(
    train: NDArray[np.float32], labels: Sequence[str], test: NDArray[np.float32], *, max_gb: float = math.inf
) -> list[str] | None:
    """Predict labels by logistic regression on means of word vectors.

    Returns:
        None if all means are equal, as for a source without any of the words.

    Raises:
        TooLargeError: if this needs more memory than ``max_gb``.
    """
    from sklearn.preprocessing import StandardScaler

    if not np.ptp(train, axis=0).any():
        return None
    return logistic_regression(train, labels, test, features=StandardScaler(), C=1, max_iter=2000, max_gb=max_gb)


def nearest_centroid(
    train: NDArray[np.float32], labels: Sequence[str], test: NDArray[np.float32]
) -> list[str] | None:
    """Predict the label whose centroid is nearest by cosine, on means of word vectors.

    scikit-learn's ``NearestCentroid`` predicts the same, but also estimates the deviation within a label, which is
    undefined if each label has one example.

    Returns:
        None if all means are equal, as for a source without any of the words.
    """
    from sklearn.metrics import pairwise_distances_argmin
    from sklearn.preprocessing import normalize

    if not np.ptp(train, axis=0).any():
        return None
    names, number = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    rows = np.split(np.argsort(number, kind="stable"), np.bincount(number).cumsum()[:-1])
    vectors = normalize(train)
    centroids = np.array([vectors[of_label].mean(axis=0) for of_label in rows], dtype=np.float64)
    return [str(names[i]) for i in pairwise_distances_argmin(normalize(test), centroids)]
