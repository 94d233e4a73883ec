"""Baselines for classification, with scikit-learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import DEFAULT_POLICY, MISSING, OOVPolicy
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.baselines.linear import logistic_regression, tfidf_features


def majority(labels: Sequence[str], n: int) -> list[str]:
    """Return the most frequent training label, ``n`` times."""
    return [Counter(sorted(labels)).most_common(1)[0][0]] * n


def tfidf(train: Sequence[str], labels: Sequence[str], test: Sequence[str]) -> list[str]:
    """Predict labels by logistic regression on TF-IDF of unigrams and bigrams."""
    return logistic_regression(train, labels, test, features=tfidf_features(), C=10, max_iter=1000)


class MeanVectors:
    """Represent a text by the mean of its word vectors; words without a vector are ignored.

    Args:
        table: word vectors.
        tokenizer: splits texts into words.
        policy: fallbacks for out-of-vocabulary words.
    """

    def __init__(
        self, table: EmbeddingTable, tokenizer: WordTokenizer, policy: OOVPolicy = DEFAULT_POLICY
    ) -> None:
        self.table, self.tokenizer, self.policy = table, tokenizer, policy

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Compute the means. *Shape:* ``(n_texts, dim)``, float32; zeros for a text without any vector."""
        counts = [self.tokenizer.count([text]) for text in texts]
        found = self.table.lookup(dict.fromkeys(word for count in counts for word in count), self.policy)
        found = found.where(why != MISSING for why in found.provenance)
        means = np.zeros((len(texts), self.table.dim), dtype=np.float32)
        for row, count in enumerate(counts):
            known = [word for word in count if word in found]
            if known:
                rows, weights = [found.index[word] for word in known], [count[word] for word in known]
                means[row] = np.average(found.vectors[rows], axis=0, weights=weights)
        return means


def on_mean_vectors(
    train: NDArray[np.float32], labels: Sequence[str], test: NDArray[np.float32]
) -> dict[str, list[str]]:
    """Predict labels by logistic regression and nearest centroid (cosine) on means of word vectors.

    Empty if all means are equal, as for a source without any of the words.
    """
    from sklearn.neighbors import NearestCentroid
    from sklearn.preprocessing import StandardScaler, normalize

    if not np.ptp(train, axis=0).any():
        return {}
    centroid = NearestCentroid().fit(normalize(train), labels)
    return {
        "mean-vectors+logreg": logistic_regression(
            train, labels, test, features=StandardScaler(), C=1, max_iter=2000),
        "nearest-centroid": list(map(str, centroid.predict(normalize(test)))),
    }
