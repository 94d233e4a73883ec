"""Hashing of character n-grams, as fastText does it.

Reference: ``Dictionary::computeSubwords`` and ``Dictionary::hash`` of https://github.com/facebookresearch/fastText
(FNV-1a over signed bytes, 32 bits).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

OFFSET_BASIS = np.uint32(2166136261)
PRIME = np.uint32(16777619)


def ngram_buckets(words: Sequence[str], min_n: int, max_n: int, n_buckets: int) -> list[list[int]]:
    """Return the buckets of each word's character n-grams, by start and then by length.

    The n-grams are those of ``<word>``, without the single characters ``<`` and ``>``.

    Args:
        words: any words.
        min_n: shortest n-gram, in characters.
        max_n: longest n-gram, in characters.
        n_buckets: number of buckets.
    """
    encoded = [f"<{word}>".encode() for word in words]
    data = np.frombuffer(b"".join(encoded), np.uint8)
    if not len(data) or max_n < 1:
        return [[] for _ in words]
    word_ends = np.cumsum([len(one) for one in encoded])
    starts = np.flatnonzero(data & 0xC0 != 0x80)                              # (n_chars,) first byte of each character
    word_of = np.searchsorted(word_ends, starts, side="right")                # (n_chars,)
    next_starts = np.append(starts, len(data))
    lengths = np.arange(1, max_n + 1)
    last = np.minimum(np.arange(len(starts))[:, None] + lengths, len(starts))
    ends = next_starts[last]                                                  # (n_chars, max_n) byte after the n-gram
    inside = np.arange(len(starts))[:, None] + lengths <= len(starts)
    valid = inside & (ends <= word_ends[word_of][:, None]) & (lengths >= min_n)
    if min_n <= 1:
        first_starts = np.append(0, word_ends[:-1])
        valid[:, 0] &= (starts != first_starts[word_of]) & (ends[:, 0] != word_ends[word_of])
    hashes = _hashes(data.view(np.int8).astype(np.uint32), starts, ends, valid)
    counts = np.bincount(word_of, weights=valid.sum(axis=1), minlength=len(words)).astype(np.intp)
    buckets = (hashes[valid] % np.uint32(n_buckets)).tolist()
    bounds = [0, *np.cumsum(counts).tolist()]
    return [buckets[begin:end] for begin, end in pairwise(bounds)]


def _hashes(
    signed: NDArray[np.uint32], starts: NDArray[np.intp], ends: NDArray[Any], valid: NDArray[np.bool_]
) -> NDArray[np.uint32]:
    """Hash every valid n-gram. *Shape:* ``(n_chars, max_n)``, uint32."""
    hashes = np.zeros(ends.shape, np.uint32)
    longest = np.where(valid, ends, starts[:, None]).max(axis=1)              # (n_chars,) end of the longest n-gram
    state = np.full(len(starts), OFFSET_BASIS)
    active = np.arange(len(starts))
    for offset in range(int((longest - starts).max(initial=0))):
        active = active[longest[active] > starts[active] + offset]
        state[active] = (state[active] ^ signed[starts[active] + offset]) * PRIME
        rows, columns = np.nonzero(ends[active] == (starts[active] + offset + 1)[:, None])
        hashes[active[rows], columns] = state[active[rows]]
    return hashes
