"""Vectors of character n-grams, from which fastText composes a vector for a word it has never seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class NgramVectors:
    """Hashed character n-grams (Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information").

    Attributes:
        vectors: float32. *Shape:* ``(n_buckets, dim)``.
        min_n: shortest n-gram, in characters; the word's own ``<`` and ``>`` count.
        max_n: longest n-gram.
        start: the first column of a table's row that these vectors fill (not 0 when sources are concatenated).
    """

    vectors: NDArray[np.float32]
    min_n: int
    max_n: int
    start: int = 0

    def add_to(self, word: str, row: NDArray[np.float32]) -> bool:
        """Write the mean of the word's n-gram vectors into its columns of ``row``.

        Returns:
            Whether the word has any n-gram at all.
        """
        from gensim.models.fasttext import ft_ngram_hashes  # a second to import, and few words come here

        buckets = ft_ngram_hashes(word, self.min_n, self.max_n, len(self.vectors))
        if not buckets:
            return False
        row[self.start : self.start + self.vectors.shape[1]] = self.vectors[buckets].mean(axis=0)
        return True

    def scaled(self, factor: float) -> NgramVectors:
        """Multiply every vector."""
        return replace(self, vectors=self.vectors * np.float32(factor))

    def moved(self, columns: int) -> NgramVectors:
        """Fill columns further to the right."""
        return replace(self, start=self.start + columns)

    def describe(self) -> dict[str, Any]:
        """What is needed, beside the vectors, to make this value again."""
        return {"min_n": self.min_n, "max_n": self.max_n, "start": self.start}
