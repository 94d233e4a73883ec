"""A classifier like fastText's as a baseline: the mean of trained vectors of words and hashed pairs of words.

Model: Joulin et al. 2016 (arXiv 1607.01759), trained with Adam in batches instead of with SGD in parallel threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from embeddings.tokenization.ngrams import WORD_PATTERN
from pipeline.baselines.selection import require_memory

BUCKETS = 2**18
DIM = 16
BATCH_SIZE = 32
EPOCHS = 5
MIN_STEPS = 500  # for few texts, more epochs
LR = 0.02
COPIES = 3       # of the vectors: the vectors and the two moments of Adam
FLOAT32 = 4


class HashedNgrams:
    """The classifier.

    Args:
        labels: the labels.
        seed: seed of the initial vectors and of the order of the texts.
    """

    def __init__(self, labels: Sequence[str], *, seed: int) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        self.labels = list(labels)
        self.seed = seed
        self.columns = np.zeros(0, np.int64)
        self._hasher = HashingVectorizer(ngram_range=(1, 2), n_features=BUCKETS, norm="l1", alternate_sign=False,
                                         token_pattern=WORD_PATTERN, dtype=np.float32)

    def fit(self, texts: Sequence[str], gold: NDArray[np.int64]) -> None:
        """Train the classifier.

        Args:
            texts: the texts.
            gold: number of the label of each text. *Shape:* ``(n_texts,)``, int64.
        """
        rows = self._hasher.transform(texts)
        self.columns = np.unique(rows.indices)                                              # (n_columns,)
        generator = torch.Generator().manual_seed(self.seed)
        self.vectors = nn.EmbeddingBag(len(self.columns), DIM, mode="sum", sparse=True)
        self.output = nn.Linear(DIM, len(self.labels))
        nn.init.uniform_(self.vectors.weight, -1 / DIM, 1 / DIM, generator=generator)
        for weight in self.output.parameters():
            nn.init.zeros_(weight)
        optimizers = (torch.optim.SparseAdam(list(self.vectors.parameters()), lr=LR),
                      torch.optim.Adam(self.output.parameters(), lr=LR))
        per_epoch = math.ceil(len(texts) / BATCH_SIZE)
        n_steps = per_epoch * max(EPOCHS, math.ceil(MIN_STEPS / per_epoch))
        random, order = np.random.default_rng(self.seed), np.zeros(0, np.int64)
        for step in range(n_steps):
            if not len(order):
                order = random.permutation(len(texts))
            batch, order = order[:BATCH_SIZE], order[BATCH_SIZE:]
            loss = F.cross_entropy(self._scores(rows[batch]), torch.from_numpy(gold[batch]))
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = LR * (1 - step / n_steps)
                optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()  # type: ignore[no-untyped-call]

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text; n-grams that no training text has are ignored."""
        with torch.inference_mode():
            numbers = self._scores(self._hasher.transform(texts)).argmax(dim=1).tolist()
        return [self.labels[number] for number in numbers]

    def _scores(self, rows: Any) -> Tensor:
        """Return the logits of hashed texts, a sparse matrix with rows of sum 1. *Shape:* ``(n, n_labels)``."""
        places = np.searchsorted(self.columns, rows.indices).clip(max=len(self.columns) - 1)
        is_known = self.columns[places] == rows.indices
        starts = np.concatenate([[0], np.cumsum(is_known)])[rows.indptr[:-1]]
        indices, weights, offsets = (torch.from_numpy(part) for part in (
            places[is_known], rows.data[is_known], starts.astype(np.int64)))
        scores: Tensor = self.output(self.vectors(indices, offsets, per_sample_weights=weights))
        return scores


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
    require_memory(FLOAT32 * (COPIES * BUCKETS * DIM + 2 * len(test) * len(names)), f"{len(names):,} labels, "
                   f"{len(test):,} test texts", max_gb)
    model = HashedNgrams([str(name) for name in names], seed=seed)
    model.fit(train, gold)
    return model.predict(test)
