"""An n-gram language model, with the smoothing that is best for words: interpolated modified Kneser-Ney."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
UNSEEN = -1
USUAL_DISCOUNTS = (0.5, 1.0, 1.5)  # where a text is too small to estimate them


class _Grams(NamedTuple):
    """The n-grams of one length, and what follows each context (the n-gram without its last token).

    Attributes:
        keys: context's number times the vocabulary's size plus the last token, ascending. *Shape:* ``(n_types,)``.
        mass: count of each, less the discount. *Shape:* ``(n_types,)``.
        total: sum of the counts after each context. *Shape:* ``(n_contexts,)``.
        saved: sum of the discounts after each context. *Shape:* ``(n_contexts,)``.
    """

    keys: Ints
    mass: Floats
    total: Floats
    saved: Floats

    def find(self, keys: Ints) -> Ints:
        """The number of each key, or ``UNSEEN``."""
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, UNSEEN)


class KneserNey:
    """An interpolated modified Kneser-Ney model of a stream of tokens (Chen and Goodman 1999, section 3).

    The longest n-grams are counted; of the shorter ones it counts how many different tokens stand before them. Where
    the text is too small to estimate the three discounts of a length, they are 0.5, 1 and 1.5. The shortest are mixed
    with the uniform distribution, so that every token of the vocabulary has some probability.

    Args:
        order: length of the longest n-grams.
        discount: one discount for all counts, 0 to 1 (Kneser and Ney 1995); by default three of each length, estimated.
    """

    def __init__(self, order: int = 3, discount: float | None = None) -> None:
        self.order, self.discount = order, discount

    def fit(self, ids: NDArray[np.integer], vocabulary_size: int) -> KneserNey:
        """Count.

        Args:
            ids: the text, run on, with ends of lines and unknown words as tokens of their own; each below
                ``vocabulary_size``. *Shape:* ``(n_tokens,)``.
            vocabulary_size: how many tokens there are.
        """
        stream = np.asarray(ids, dtype=np.int64)
        self.vocabulary_size = vocabulary_size
        keys: list[Ints] = []
        numbers = [np.zeros(len(stream), dtype=np.int64)]  # at each place the number of the n-gram that ends there
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
        """The natural logarithm of each token's probability, given those before it in the same stream.

        Args:
            ids: another text, run on. *Shape:* ``(n_tokens,)``.

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
        """What is taken off counts of one, two, and three or more (equation 17 of Chen and Goodman)."""
        if self.discount is not None:
            return (self.discount,) * 3
        n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].tolist()
        if not (n1 and n2 and n3 and n4):
            return USUAL_DISCOUNTS
        y = n1 / (n1 + 2 * n2)
        estimated = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return estimated if min(estimated) >= 0 else USUAL_DISCOUNTS


def _contexts(numbers: Ints, n: int) -> Ints:
    """The context of each place for n-grams of length ``n``: the n-gram one shorter that ends before it."""
    return numbers if n == 1 else np.concatenate([[UNSEEN], numbers[:-1]])[:len(numbers)]
