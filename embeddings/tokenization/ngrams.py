"""N-grams of words and characters: text -> sparse TF-IDF rows, by hashing into a fixed number of buckets.

The rows are those of scikit-learn's ``HashingVectorizer`` for two families of n-grams, each in its own half of the
buckets: n-grams of words, and n-grams of the characters within words (``char_wb``). Compiled code counts them where it
is available, and scikit-learn elsewhere. The weighting is that of ``TfidfVectorizer`` with ``sublinear_tf``:
``(1 + ln count) * idf``, with each family normalised to length 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.tokenization import native
from embeddings.tokenization.arrays import GrowingArray

N_AT_ONCE = 1024         # texts whose n-grams are counted at once
MAX_CHARACTERS = 2**21   # of these texts together, unless one has more
ENTRIES_AT_ONCE = 2**20  # entries whose columns are converted at once
ENTRY_BYTES = 8          # of a count: value and column

WORD_PATTERN = r"(?u)\w+|[^\w\s]"
"""Regular expression of a word: letters and digits, or one sign of punctuation."""

Sparse = Any
"""A ``scipy.sparse.csr_matrix``."""


class Ngram(NamedTuple):
    """An n-gram of a text.

    Attributes:
        family: ``words`` or ``characters``.
        ngram: the n-gram; the words of an n-gram of words are separated by a space.
        bucket: the bucket that it is hashed to.
        frequency: number of times that it occurs in the text.
    """

    family: str
    ngram: str
    bucket: int
    frequency: int


@dataclass(frozen=True)
class NgramHasher:
    """Counts the n-grams of texts in buckets.

    The first half of the buckets has the n-grams of words, the second half those of characters.

    Attributes:
        words: length of the longest n-gram of words, from 1.
        characters: lengths of the shortest and the longest n-gram of characters; None for words only.
        buckets: number of buckets, a power of two.
    """

    words: int
    characters: tuple[int, int] | None
    buckets: int

    def __post_init__(self) -> None:
        if self.buckets < 2 or self.buckets & (self.buckets - 1):
            raise ValueError(f"the number of buckets must be a power of two, not {self.buckets}")

    @property
    def half(self) -> int:
        """Number of buckets of each family."""
        return self.buckets // 2

    def bytes_for(self, texts: Iterable[str], copies: float) -> float:
        """Estimate the memory in bytes for the counts of texts.

        Args:
            texts: the texts.
            copies: how many copies of the counts are in memory at the same time.
        """
        shortest, longest = self.characters or (1, 0)
        n_entries = sum(self.words * (text.count(" ") + 1) + (longest - shortest + 1) * len(text) for text in texts)
        return copies * ENTRY_BYTES * n_entries

    @cached_property
    def _vectorizers(self) -> dict[str, Any]:
        from sklearn.feature_extraction.text import HashingVectorizer

        common = {"n_features": self.half, "norm": None, "alternate_sign": False, "dtype": np.float32}
        made = {"words": HashingVectorizer(ngram_range=(1, self.words), token_pattern=WORD_PATTERN, **common)}
        if self.characters:
            made["characters"] = HashingVectorizer(analyzer="char_wb", ngram_range=self.characters, **common)
        return made

    def counts(self, texts: Sequence[str]) -> Sparse:
        """Count the n-grams of each text. *Shape:* ``(n_texts, buckets)``, float32."""
        return self._counts_by_compiled_code(texts) if native.available() else self._counts_by_sklearn(texts)

    def _counts_by_compiled_code(self, texts: Sequence[str]) -> Sparse:
        from scipy.sparse import csr_matrix

        find_words = re.compile(WORD_PATTERN).findall
        columns, counts, n_columns = GrowingArray(np.int32), GrowingArray(np.float32), GrowingArray(np.int64)
        for batch in _batches(texts):
            lowered = [_encodable(text).lower() for text in batch]
            words = [" ".join(find_words(text)) for text in lowered]
            characters = [f" {' '.join(pieces)} " if self.characters and (pieces := text.split()) else ""
                          for text in lowered]
            of_batch = native.count_ngrams(words, characters, longest_words=self.words,
                                           lengths=self.characters or (1, 1), half=self.half)
            columns.append(of_batch[0])
            counts.append(of_batch[1])
            n_columns.append(of_batch[2])
        bounds = np.concatenate([[0], n_columns.finished().cumsum()])                       # (n_texts + 1,)
        return csr_matrix((counts.finished(), columns.finished(), bounds), shape=(len(texts), self.buckets))

    def _counts_by_sklearn(self, texts: Sequence[str]) -> Sparse:
        from scipy.sparse import hstack

        encodable = [_encodable(text) for text in texts]
        counts = hstack([vectorizer.transform(encodable) for vectorizer in self._vectorizers.values()], format="csr",
                        dtype=np.float32)
        counts.resize(len(texts), self.buckets)
        return counts

    def folded(self, counts: Sparse) -> Sparse:
        """Return the counts that this hasher makes of texts, from those of one with at least as many buckets.

        Args:
            counts: *Shape:* ``(n_texts, more_buckets)``, float32.

        Returns:
            *Shape:* ``(n_texts, buckets)``, float32.
        """
        from scipy.sparse import csr_matrix

        other = counts.shape[1] // 2
        in_characters = counts.indices >= other
        columns = (counts.indices - other * in_characters) % self.half + self.half * in_characters
        made = csr_matrix((counts.data.copy(), columns.astype(np.int32), counts.indptr.copy()),
                          shape=(counts.shape[0], self.buckets))
        made.sum_duplicates()
        return made

    def ngrams(self, text: str) -> list[Ngram]:
        """Return the distinct n-grams of a text, those of words first, in the order in which they occur."""
        found = []
        for number, (family, vectorizer) in enumerate(self._vectorizers.items()):
            counts: dict[str, int] = {}
            for ngram in vectorizer.build_analyzer()(_encodable(text)):
                counts[ngram] = counts.get(ngram, 0) + 1
            hashed = vectorizer._get_hasher().transform([[ngram] for ngram in counts]).indices if counts else ()
            found += [Ngram(family, ngram, int(column) + number * self.half, frequency)
                      for (ngram, frequency), column in zip(counts.items(), hashed, strict=True)]
        return found


def inverse_document_frequency(counts: Sparse) -> NDArray[np.float32]:
    """Compute ``ln((1 + n) / (1 + df)) + 1`` of each bucket, as ``TfidfVectorizer``; 0 for one that no text has.

    Args:
        counts: counts of the training texts. *Shape:* ``(n_texts, buckets)``.

    Returns:
        *Shape:* ``(buckets,)``, float32.
    """
    frequency = frequency_of_columns(counts)
    used, idf = frequency > 0, np.zeros(len(frequency), dtype=np.float32)
    idf[used] = np.log((1 + counts.shape[0]) / (1 + frequency[used])) + 1
    return idf


def frequency_of_columns(rows: Sparse) -> NDArray[np.int32]:
    """Count the rows that have an entry in each column. *Shape:* ``(n_columns,)``, int32."""
    frequency = np.zeros(rows.shape[1], dtype=np.int32)
    for start in range(0, len(rows.indices), ENTRIES_AT_ONCE):  # of which NumPy makes a copy in int64
        counted = np.bincount(rows.indices[start:start + ENTRIES_AT_ONCE])
        counts = frequency[: len(counted)]
        np.add(counts, counted, out=counts, casting="unsafe")
    return frequency


def renumber_columns(rows: Sparse, numbers: NDArray[np.int32], n_columns: int) -> Sparse:
    """Return rows with other numbers of the columns, in place of the given rows, which are not valid afterwards.

    Args:
        rows: *Shape:* ``(n, m)``.
        numbers: new number of each column that has an entry. *Shape:* ``(m,)``, int32.
        n_columns: number of columns of the result.
    """
    from scipy.sparse import csr_matrix

    for start in range(0, len(rows.indices), ENTRIES_AT_ONCE):
        part = slice(start, start + ENTRIES_AT_ONCE)
        rows.indices[part] = numbers[rows.indices[part]]
    return csr_matrix((rows.data, rows.indices, rows.indptr), shape=(rows.shape[0], n_columns))


def tfidf(counts: Sparse, idf: NDArray[np.float32], *, overwrite: bool = False) -> Sparse:
    """Weight counts by TF-IDF with sublinear term frequency, and normalise both families of each text to length 1.

    Args:
        counts: *Shape:* ``(n_texts, buckets)``, float32.
        idf: :func:`inverse_document_frequency` of the training texts. *Shape:* ``(buckets,)``, float32.
        overwrite: change ``counts`` to the result, instead of a copy.

    Returns:
        *Shape:* ``(n_texts, buckets)``, float32; buckets with an ``idf`` of 0 have no entry.
    """
    made = counts if overwrite else counts.copy()
    for start in range(0, made.shape[0], N_AT_ONCE):
        bounds = made.indptr[start:start + N_AT_ONCE + 1]
        part = slice(bounds[0], bounds[-1])
        made.data[part] = _normalised(made.data[part], made.indices[part], np.diff(bounds), idf)
    made.eliminate_zeros()
    return made


def _normalised(
    counts: NDArray[np.float32], buckets: NDArray[np.int32], n_buckets: NDArray[np.int64], idf: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Weight the counts of some texts. *Shape:* ``(n_entries,)``, as ``counts`` and ``buckets``."""
    values = (np.log(counts) + 1) * idf[buckets]                                            # (n_entries,)
    text = np.repeat(np.arange(len(n_buckets)), n_buckets)                                  # (n_entries,)
    family = 2 * text + (buckets >= len(idf) // 2)                                          # (n_entries,)
    length = np.sqrt(np.bincount(family, values.astype(np.float64) ** 2, minlength=2 * len(n_buckets)))
    weighted: NDArray[np.float32] = (values / np.where(length > 0, length, 1.0)[family]).astype(np.float32)
    return weighted


def without_empty_columns(rows: Sparse) -> tuple[Sparse, NDArray[np.int64]]:
    """Return rows with the columns that have an entry, and the numbers of these."""
    from scipy.sparse import csr_matrix

    used, columns = np.unique(rows.indices, return_inverse=True)
    made = csr_matrix((rows.data, columns.astype(np.int32), rows.indptr), shape=(rows.shape[0], len(used)))
    return made, used.astype(np.int64)


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield consecutive texts, up to :data:`N_AT_ONCE` and about :data:`MAX_CHARACTERS` together."""
    start = size = 0
    for i, text in enumerate(texts):
        if i > start and (i - start == N_AT_ONCE or size + len(text) > MAX_CHARACTERS):
            yield texts[start:i]
            start, size = i, 0
        size += len(text)
    if start < len(texts):
        yield texts[start:]


def _encodable(text: str) -> str:
    """Replace lone surrogates, which have no UTF-8 and so no hash."""
    return text.encode("utf-8", "replace").decode("utf-8")
