"""Features of a source of word vectors on the texts and labels of a task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.table import EmbeddingTable
from embeddings.table.moments import deviation
from embeddings.table.oov_policy import OOVPolicy, is_known
from embeddings.tokenization.interface import TextTokenizer
from embeddings.tokenization.interning import token_interner
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.baselines.linear import fitting
from pipeline.benchmark.forecast.transferability import h_score, linear_accuracy, log_me, matching_accuracy

WITHOUT_LABELS = ("tokens", "types", "matching", "spread", "dim", "random", "trained")
WITH_LABELS = ("linear", "logme", "h_score")
MAX_LABELLED = 1000  # labelled texts from which features are computed; the stored runs have up to 800
MAX_MATCHED = 500    # texts whose halves are matched
MIN_MATCHED = 6      # words of such a text
POSITIONS = math.sqrt(0.5)  # root mean square of the sinusoidal position encoding


@dataclass(frozen=True)
class TaskTexts:
    """The texts of a task, tokenized once for all sources.

    Attributes:
        labelled: labelled training texts.
        labels: a label for each of them.
        unlabelled: further texts.
        tokenizer: splits the texts into words.
        max_length: number of words of a text that count.
    """

    labelled: Sequence[str]
    labels: Sequence[str]
    unlabelled: Sequence[str] = ()
    tokenizer: TextTokenizer = field(default_factory=WordTokenizer)
    max_length: int = 512

    @cached_property
    def texts(self) -> list[str]:
        """All texts, the labelled ones first."""
        return [*self.labelled, *self.unlabelled]

    @cached_property
    def _interned(self) -> tuple[list[str], list[NDArray[np.int32]]]:
        interner = token_interner(())
        ids = [one[: self.max_length] for one in self.tokenizer.intern(self.texts, interner)]
        used, together = np.unique(np.concatenate([*ids, np.zeros(0, np.int32)]), return_inverse=True)
        numbered = np.split(together.astype(np.int32), np.cumsum([len(one) for one in ids])[:-1])
        return [interner[i] for i in used.tolist()], numbered if ids else []

    @property
    def words(self) -> list[str]:
        """The distinct words, in the order of their ids."""
        return self._interned[0]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The number of occurrences of each word. *Shape:* ``(n_words,)``."""
        return np.bincount(np.concatenate([*self._interned[1], np.zeros(0, np.int32)]), minlength=len(self.words))

    @cached_property
    def averaging(self) -> Any:
        """Matrix whose product with word vectors is the mean of each labelled text. *Shape:* ``(n, n_words)``."""
        return self._averaging(self._interned[1][: len(self.labelled)])

    @cached_property
    def halves(self) -> tuple[Any, Any]:
        """Such matrices for the words at even and at odd positions of texts drawn at random."""
        long = [one for one in self._interned[1] if len(one) >= MIN_MATCHED]
        drawn = np.random.default_rng(1).permutation(len(long))[:MAX_MATCHED]
        return (self._averaging([long[row][::2] for row in drawn]), self._averaging([long[row][1::2] for row in drawn]))

    def _averaging(self, ids: Sequence[NDArray[np.int32]]) -> Any:
        from scipy.sparse import csr_array

        columns = np.concatenate([*ids, np.zeros(0, np.int32)])
        ends = np.cumsum([0, *map(len, ids)])
        weights = np.repeat([1 / max(len(one), 1) for one in ids], np.diff(ends)).astype(np.float32)
        return csr_array((weights, columns, ends), shape=(len(ids), len(self.words)))


def features_of(table: EmbeddingTable, texts: TaskTexts, policy: OOVPolicy) -> dict[str, float]:
    """Compute the features of word vectors on the texts and labels of a task.

    Args:
        table: vectors of the words of the texts.
        texts: texts and labels.
        policy: fallbacks for words that the table does not list.

    Returns:
        ``tokens`` and ``types`` (covered shares); ``matching`` (share of the texts whose halves are nearest to each
        other); ``spread`` (logarithm to base 10 of the standard deviation over that of the positions); ``dim`` (binary
        logarithm); ``random`` (1 for a source without vectors of these words, otherwise 0); and if the texts have
        labels, ``linear`` (accuracy of logistic regression), ``logme`` and ``h_score``.
    """
    found = table.lookup(texts.words, policy)
    known = np.array([is_known(why) for why in found.provenance], dtype=bool)
    start = found.filled(1, policy.last).vectors
    averaged = found.vectors * known[:, None] if known.any() else start  # a random table has means, too
    first, second = (np.asarray(half @ averaged) for half in texts.halves)
    computed = {
        "tokens": float(texts.counts @ known / max(texts.counts.sum(), 1)),
        "types": float(known.mean()) if len(known) else 0.0,
        "matching": matching_accuracy(first, second),
        "spread": math.log10(max(float(deviation(start)), 1e-6) / POSITIONS),
        "dim": math.log2(table.dim),
        "random": float(not known.any()),
    }
    return computed | _with_labels(np.asarray(texts.averaging @ averaged), texts.labels)


def _with_labels(means: NDArray[np.float32], labels: Sequence[str]) -> dict[str, float]:
    if len(set(labels)) < 2:
        return {}
    with fitting():
        return {"linear": linear_accuracy(means, labels), "logme": log_me(means, labels),
                "h_score": h_score(means, labels)}
