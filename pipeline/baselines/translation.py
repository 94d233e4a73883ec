"""Simpler translators: what a like sentence was translated to, and word for word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NULL = ""  # the source word of target words that come from none


def nearest(sources: Sequence[str], targets: Sequence[str], test: Sequence[str]) -> list[str]:
    """The translation of the training text that is nearest, by the cosine of TF-IDF; of equals the first."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    weights = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")
    known = weights.fit_transform(sources).T.tocsc()
    asked = weights.transform(test)
    rows = (asked[i:i + 100] @ known for i in range(0, len(test), 100))  # a few at a time: the product is nearly dense
    return [targets[i] for row in rows for i in np.asarray(row.argmax(axis=1)).ravel()]


class WordForWord:
    """Each word by its likeliest translation, in the order of the source (IBM model 1; Brown et al. 1993, section 4.1).

    Args:
        rounds: of expectation and maximisation.
    """

    def __init__(self, rounds: int = 10) -> None:
        self.rounds = rounds

    def fit(self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> WordForWord:
        """Learn how likely each word is translated to each.

        Args:
            sources: the words of each text.
            targets: those of its translation, likewise.
        """
        source_number = _numbered([(NULL,), *sources])
        target_number = _numbered(targets)
        pairs, slots = [], []  # a slot is a target word in its place; its pairs are with each source word of the text
        n_slots = 0
        for source, target in zip(sources, targets, strict=True):
            from_ids = np.array([source_number[word] for word in (NULL, *source)])
            to_ids = np.array([target_number[word] for word in target], dtype=np.int64)
            pairs.append((from_ids * len(target_number) + to_ids[:, None]).ravel())
            slots.append(np.repeat(np.arange(n_slots, n_slots + len(target)), len(from_ids)))
            n_slots += len(target)
        keys, pair = np.unique(np.concatenate(pairs), return_inverse=True)
        source_of, target_of = np.divmod(keys, max(len(target_number), 1))
        likely = self._maximise(pair, np.concatenate(slots), source_of)
        self.table = _likeliest(likely, source_of, target_of, list(source_number), list(target_number))
        return self

    def translate(self, words: Sequence[str]) -> list[str]:
        """Translate a text's words; unknown ones stay as they are."""
        return [self.table.get(word, word) for word in words]

    def _maximise(self, pair: NDArray[np.int64], slot: NDArray[np.int64],
                  source_of: NDArray[np.int64]) -> NDArray[np.float64]:
        """Find each pair's probability of the target word given the source word. *Shape:* ``(n_pairs,)``, float64."""
        likely = np.ones(len(source_of))
        for _ in range(self.rounds):
            weight = likely[pair]
            weight /= np.bincount(slot, weights=weight)[slot]
            count = np.bincount(pair, weights=weight, minlength=len(likely))
            likely = count / np.bincount(source_of, weights=count)[source_of]
        return likely


def _numbered(texts: Sequence[Sequence[str]]) -> dict[str, int]:
    return {word: i for i, word in enumerate(dict.fromkeys(word for text in texts for word in text))}


def _likeliest(likely: NDArray[np.float64], source_of: NDArray[np.int64], target_of: NDArray[np.int64],
               sources: Sequence[str], targets: Sequence[str]) -> dict[str, str]:
    order = np.lexsort((-likely, source_of))
    words, first = np.unique(source_of[order], return_index=True)
    best = target_of[order][first]
    return {sources[i]: targets[j] for i, j in zip(words.tolist(), best.tolist(), strict=True)}
