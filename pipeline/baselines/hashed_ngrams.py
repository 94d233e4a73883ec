"""A classifier like fastText's as a baseline: the mean of trained vectors of words and hashed pairs of words.

Model: Joulin et al. 2016 (arXiv 1607.01759), trained with Adam in batches instead of with SGD in parallel threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embeddings.tokenization.ngrams import NgramHasher, Sparse, without_empty_columns
from pipeline.baselines.selection import require_memory

BUCKETS = 2**18
DIM = 16
SMALLEST_BATCH = 32
EPOCHS = 5
MIN_STEPS = 500         # for few texts, more epochs
MAX_EXAMPLES = 250_000  # for many texts, fewer epochs, but at least one
MAX_STEPS = 2000        # for many texts, larger batches
LR = 0.02
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
COPIES = 3  # of the vectors: the vectors and the two moments of Adam
MAX_STORED = 50_000     # texts whose n-grams are stored; those of more are counted again for each batch
ENTRY_COPIES = 1.5  # of the counts
FLOAT32 = 4
N_AT_ONCE = 1024  # texts whose shares are computed at once


class HashedNgrams:
    """The classifier.

    Args:
        labels: the labels.
        seed: seed of the initial vectors and of the order of the texts.
    """

    def __init__(self, labels: Sequence[str], *, seed: int) -> None:
        self.labels = list(labels)
        self.seed = seed
        self.hasher = NgramHasher(2, None, 2 * BUCKETS)

    def fit(self, texts: Sequence[str], gold: NDArray[np.int64]) -> None:
        """Train the classifier.

        Args:
            texts: the texts.
            gold: number of the label of each text. *Shape:* ``(n_texts,)``, int64.
        """
        n_labels, random = len(self.labels), np.random.default_rng(self.seed)
        rows = None if len(texts) > MAX_STORED else self._shares(texts)                     # (n_texts, BUCKETS)
        start = random.uniform(-1 / DIM, 1 / DIM, (BUCKETS, DIM))
        self.vectors = start.astype(np.float32)                                             # (BUCKETS, DIM)
        self.output = np.zeros((DIM + 1, n_labels), dtype=np.float32)  # weights, and biases in the last row
        of_vectors, of_output = Adam(self.vectors), Adam(self.output)
        n_epochs = min(EPOCHS, max(1, MAX_EXAMPLES // len(texts)))
        batch_size = max(SMALLEST_BATCH, math.ceil(n_epochs * len(texts) / MAX_STEPS))
        per_epoch = math.ceil(len(texts) / batch_size)
        n_steps = per_epoch * max(n_epochs, math.ceil(MIN_STEPS / per_epoch))
        order = np.zeros(0, np.int64)
        for step in range(n_steps):
            if not len(order):
                order = random.permutation(len(texts))
            batch, order = order[:batch_size], order[batch_size:]
            lr = LR * (1 - step / n_steps)
            of_batch = self._shares([texts[i] for i in batch]) if rows is None else rows[batch]
            batch_rows, used = without_empty_columns(of_batch)                              # (n_batch, n_used)
            means = _with_ones(batch_rows @ self.vectors[used])                             # (n_batch, DIM + 1)
            of_scores = _softmax(means @ self.output)                                       # (n_batch, n_labels)
            of_scores[np.arange(len(batch)), gold[batch]] -= 1
            of_scores /= len(batch)
            of_means = of_scores @ self.output[:-1].T                                       # (n_batch, DIM)
            of_output.step(slice(None), means.T @ of_scores, lr)
            of_vectors.step(used, batch_rows.T @ of_means, lr)
        self.vectors[~of_vectors.square.any(axis=1)] = 0  # of n-grams that no training text has

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text; n-grams that no training text has are ignored."""
        return [self.labels[number] for number in self.scores(texts).argmax(axis=1)]

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the logits of texts. *Shape:* ``(n_texts, n_labels)``, float32."""
        scores: NDArray[np.float32] = _with_ones(self._shares(texts) @ self.vectors) @ self.output
        return scores

    def _shares(self, texts: Sequence[str]) -> Sparse:
        """Return the share of each n-gram among those of a text. *Shape:* ``(n_texts, BUCKETS)``, float32."""
        from scipy.sparse import csr_matrix

        counts = self.hasher.counts(texts)
        total = np.asarray(counts.sum(axis=1), dtype=np.float32).ravel()                    # (n_texts,)
        for start in range(0, len(total), N_AT_ONCE):
            bounds = counts.indptr[start:start + N_AT_ONCE + 1]
            counts.data[bounds[0]:bounds[-1]] /= np.repeat(total[start:start + N_AT_ONCE], np.diff(bounds))
        return csr_matrix((counts.data, counts.indices, counts.indptr), shape=(len(texts), BUCKETS))


class Adam:
    """Adam (Kingma & Ba 2015) for a matrix of which a step changes some rows; the moments of others stay as they are.

    Args:
        weight: the matrix, changed in place.
    """

    def __init__(self, weight: NDArray[np.float32]) -> None:
        self.weight = weight
        self.mean, self.square = np.zeros_like(weight), np.zeros_like(weight)
        self.n_steps = 0

    def step(self, rows: NDArray[np.int64] | slice, gradient: NDArray[np.float32], lr: float) -> None:
        """Update rows by their gradient."""
        self.n_steps += 1
        mean = BETA1 * self.mean[rows] + (1 - BETA1) * gradient
        square = BETA2 * self.square[rows] + (1 - BETA2) * gradient**2
        self.mean[rows], self.square[rows] = mean, square
        size = lr * math.sqrt(1 - BETA2**self.n_steps) / (1 - BETA1**self.n_steps)
        self.weight[rows] -= size * mean / (np.sqrt(square) + EPS)


def _with_ones(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """Append a column of ones, by which the biases are multiplied."""
    return np.hstack([means, np.ones((len(means), 1), dtype=np.float32)])


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy.special import softmax

    made: NDArray[np.float32] = softmax(scores, axis=1)
    return made


def hashed_ngrams(
    train: Sequence[str], labels: Sequence[str], test: Sequence[str], *, seed: int = 1, max_gb: float = math.inf
) -> list[str]:
    """Predict labels by the mean of the trained vectors of words and pairs of words, as fastText does.

    Args:
        train: training texts.
        labels: label of each.
        test: test texts.
        seed: seed of the initial vectors and of the order of the texts.
        max_gb: limit of the memory of the fit, in GB.

    Raises:
        TooLargeError: if this needs more memory than ``max_gb``.
    """
    names, gold = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    model = HashedNgrams([str(name) for name in names], seed=seed)
    needed = model.hasher.bytes_for(train[:MAX_STORED], ENTRY_COPIES)
    needed += FLOAT32 * (COPIES * BUCKETS * DIM + 2 * len(test) * len(names))
    require_memory(needed, f"{len(names):,} labels, {len(train):,} training and {len(test):,} test texts", max_gb)
    model.fit(train, gold)
    return model.predict(test)
