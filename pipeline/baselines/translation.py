"""Baselines for translation: translation of the nearest training text, and word-for-word translation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NULL = ""  # source of target words without a source word


def nearest(sources: Sequence[str], targets: Sequence[str], test: Sequence[str]) -> list[str]:
    """Return the translation of the nearest training text by cosine similarity of TF-IDF; the first of equals."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    weights = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")
    train = weights.fit_transform(sources).T.tocsc()
    queries = weights.transform(test)
    rows = (queries[i:i + 100] @ train for i in range(0, len(test), 100))  # in chunks: the product is nearly dense
    return [targets[i] for row in rows for i in np.asarray(row.argmax(axis=1)).ravel()]


class WordForWord:
    """Translate each word by its most probable translation (IBM model 1; Brown et al. 1993, section 4.1).

    Args:
        rounds: number of EM iterations.
    """

    def __init__(self, rounds: int = 10) -> None:
        self.rounds = rounds

    def fit(self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> WordForWord:
        """Estimate the translation probabilities.

        Args:
            sources: words of each text.
            targets: words of its translation.
        """
        source_number = _numbered([(NULL,), *sources])
        target_number = _numbered(targets)
        pairs, slots = [], []  # a slot is a target token; its pairs are those with each source word
        n_slots = 0
        for source, target in zip(sources, targets, strict=True):
            from_ids = np.array([source_number[word] for word in (NULL, *source)])
            to_ids = np.array([target_number[word] for word in target], dtype=np.int64)
            pairs.append((from_ids * len(target_number) + to_ids[:, None]).ravel())
            slots.append(np.repeat(np.arange(n_slots, n_slots + len(target)), len(from_ids)))
            n_slots += len(target)
        keys, pair = np.unique(np.concatenate(pairs), return_inverse=True)
        source_of, target_of = np.divmod(keys, max(len(target_number), 1))
        probability = self._maximise(pair, np.concatenate(slots), source_of)
        self.table = _most_probable(probability, source_of, target_of, list(source_number), list(target_number))
        return self

    def translate(self, words: Sequence[str]) -> list[str]:
        """Translate words in order; unknown words are unchanged."""
        return [self.table.get(word, word) for word in words]

    def _maximise(self, pair: NDArray[np.int64], slot: NDArray[np.int64],
                  source_of: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of the target given the source of each pair. *Shape:* ``(n_pairs,)``, float64."""
        probability = np.ones(len(source_of))
        for _ in range(self.rounds):
            weight = probability[pair]
            weight /= np.bincount(slot, weights=weight)[slot]
            count = np.bincount(pair, weights=weight, minlength=len(probability))
            probability = count / np.bincount(source_of, weights=count)[source_of]
        return probability


def _numbered(texts: Sequence[Sequence[str]]) -> dict[str, int]:
    return {word: i for i, word in enumerate(dict.fromkeys(word for text in texts for word in text))}


def _most_probable(probability: NDArray[np.float64], source_of: NDArray[np.int64], target_of: NDArray[np.int64],
               sources: Sequence[str], targets: Sequence[str]) -> dict[str, str]:
    order = np.lexsort((-probability, source_of))
    words, first = np.unique(source_of[order], return_index=True)
    best = target_of[order][first]
    return {sources[i]: targets[j] for i, j in zip(words.tolist(), best.tolist(), strict=True)}
