"""n-gram language model with interpolated modified Kneser-Ney smoothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
UNSEEN = -1
DEFAULT_DISCOUNTS = (0.5, 1.0, 1.5)  # for texts too small to estimate them


class _Grams(NamedTuple):
    """The n-grams of one length; the context of an n-gram is the n-gram without its last token.

    Attributes:
        keys: index of the context times the vocabulary size plus the last token, ascending. *Shape:* ``(n_types,)``.
        mass: discounted counts. *Shape:* ``(n_types,)``.
        total: sum of the counts of each context. *Shape:* ``(n_contexts,)``.
        saved: sum of the discounts of each context. *Shape:* ``(n_contexts,)``.
    """

    keys: Ints
    mass: Floats
    total: Floats
    saved: Floats

    def find(self, keys: Ints) -> Ints:
        """Return the index of each key, or ``UNSEEN``."""
        index = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[index] == keys, index, UNSEEN)


class KneserNey:
    """Interpolated modified Kneser-Ney model of a stream of tokens (Chen and Goodman 1999, section 3).

    The longest n-grams have their counts, shorter ones the number of distinct tokens that precede them. If the text is
    too small to estimate the three discounts of a length, they are 0.5, 1 and 1.5. Unigrams are interpolated with the
    uniform distribution, so that every token of the vocabulary has a positive probability.

    Args:
        order: length of the longest n-grams.
        discount: one discount for all counts, 0 to 1 (Kneser and Ney 1995); by default three are estimated per length.
    """

    def __init__(self, order: int = 3, discount: float | None = None) -> None:
        self.order, self.discount = order, discount

    def fit(self, ids: NDArray[np.integer], vocabulary_size: int) -> KneserNey:
        """Count the n-grams of a text.

        Args:
            ids: token ids of the running text, ends of lines and unknown words included, below ``vocabulary_size``.
                *Shape:* ``(n_tokens,)``.
            vocabulary_size: number of distinct tokens.
        """
        stream = np.asarray(ids, dtype=np.int64)
        self.vocabulary_size = vocabulary_size
        keys: list[Ints] = []
        numbers = [np.zeros(len(stream), dtype=np.int64)]  # index of the n-gram that ends at each position
        order = min(self.order, len(stream))
        for n in range(1, order + 1):
            found, number = np.unique(_contexts(numbers[-1], n)[n - 1:] * vocabulary_size + stream[n - 1:],
                                      return_inverse=True)
            keys.append(found)
            numbers.append(np.concatenate([np.full(n - 1, UNSEEN), number]))
        self._grams = []
        for n in range(1, order + 1):
            if n == order:
                counts = np.bincount(numbers[n][n - 1:], minlength=len(keys[n - 1]))
            else:
                _, first = np.unique(numbers[n + 1][n:], return_index=True)
                counts = np.bincount(numbers[n][n:][first], minlength=len(keys[n - 1]))
            self._grams.append(self._smoothed(keys[n - 1], counts, len(keys[n - 2]) if n > 1 else 1))
        return self

    def log_probabilities(self, ids: NDArray[np.integer]) -> Floats:
        """Compute the natural log-probability of each token given the preceding ones.

        Args:
            ids: token ids of a running text. *Shape:* ``(n_tokens,)``.

        Returns:
            *Shape:* ``(n_tokens,)``, float64.
        """
        stream = np.asarray(ids, dtype=np.int64)
        probability: Floats = np.full(len(stream), 1 / self.vocabulary_size)
        number = np.zeros(len(stream), dtype=np.int64)
        for n, grams in enumerate(self._grams, start=1):
            context = _contexts(number, n)
            number = np.where(context == UNSEEN, UNSEEN, grams.find(context * self.vocabulary_size + stream))
            total = np.where(context == UNSEEN, 0, grams.total[context])
            mass = np.where(number == UNSEEN, 0, grams.mass[number])
            mixed = (mass + grams.saved[context] * probability) / np.maximum(total, 1)
            probability = np.where(total > 0, mixed, probability)
        logarithms: Floats = np.log(probability)
        return logarithms

    def _smoothed(self, keys: Ints, counts: Ints, n_contexts: int) -> _Grams:
        by_count = np.array((0.0, *self._discounts(counts)))
        discount = by_count[np.minimum(counts, 3)]
        context = keys // self.vocabulary_size
        return _Grams(
            keys=keys,
            mass=counts - discount,
            total=np.bincount(context, weights=counts, minlength=n_contexts).astype(np.float64),
            saved=np.bincount(context, weights=discount, minlength=n_contexts).astype(np.float64),
        )

    def _discounts(self, counts: Ints) -> tuple[float, ...]:
        """Estimate the discounts of counts one, two, and three or more (equation 17 of Chen and Goodman)."""
        if self.discount is not None:
            return (self.discount,) * 3
        n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].tolist()
        if not (n1 and n2 and n3 and n4):
            return DEFAULT_DISCOUNTS
        y = n1 / (n1 + 2 * n2)
        estimated = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return estimated if min(estimated) >= 0 else DEFAULT_DISCOUNTS


def _contexts(numbers: Ints, n: int) -> Ints:
    """Return the context of each position for length ``n``: the n-gram of length ``n - 1`` that ends before it."""
    return numbers if n == 1 else np.concatenate([[UNSEEN], numbers[:-1]])[:len(numbers)]
