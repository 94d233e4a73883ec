"""Hashed features of texts for the linear branch of a model: n-grams of a text, and features of the words of a text.

The buckets are those of scikit-learn's ``HashingVectorizer`` and ``FeatureHasher`` (MurmurHash3, 32 bits, seed 0). This
file requires only Python.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

WORD = re.compile(r"(?u)\w+|[^\w\s]")
RUNS = re.compile(r"(.)\1+")
MASK = 0xFFFFFFFF
MAX_FEATURES = 23  # of a word


def ngram_counts(text: str, *, words: int, characters: tuple[int, int], buckets: int) -> dict[int, int]:
    """Count the n-grams of a text in buckets: of words in the first half, of characters within words in the second.

    Args:
        text: the text; both texts of a pair are joined by a space.
        words: length of the longest n-gram of words.
        characters: lengths of the shortest and the longest n-gram of characters.
        buckets: number of buckets.
    """
    lower, half = encodable(text).lower(), buckets // 2
    tokens = WORD.findall(lower)
    counts = Counter(bucket(" ".join(tokens[i:i + n]), half)
                     for n in range(1, min(words, len(tokens)) + 1) for i in range(len(tokens) - n + 1))
    for word, frequency in Counter(lower.split()).items():
        for number in _character_buckets(word, characters[0], characters[1], half):
            counts[half + number] += frequency
    return dict(counts)


@lru_cache(maxsize=2**16)
def _character_buckets(word: str, shortest: int, longest: int, buckets: int) -> tuple[int, ...]:
    """Return the bucket of each n-gram of a word, a space before and after it included."""
    padded = f" {word} "
    found = []
    for n in range(shortest, longest + 1):
        found += [bucket(padded[i:i + n], buckets) for i in range(max(1, len(padded) - n + 1))]
        if len(padded) <= n:  # a word that is shorter than the n-gram counts once
            break
    return tuple(found)


def word_features(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the features of each word: itself, its shape, prefixes and suffixes, its neighbours and their shapes."""
    lower = ["<s>", "<s>", *(word.lower() for word in words), "</s>", "</s>"]
    shapes = ["<s>", "<s>", *(RUNS.sub(r"\1", pattern(word)) for word in words), "</s>", "</s>"]
    for i, word in enumerate(words, start=2):
        own = lower[i]
        found = [f"word={word}", f"lower={own}", f"shape={shapes[i]}", f"pattern={pattern(word)}"]
        for n in range(1, min(4, len(own)) + 1):
            found += [f"prefix{n}={own[:n]}", f"suffix{n}={own[-n:]}"]
        for d in (-2, -1, 1, 2):
            found += [f"lower{d:+}={lower[i + d]}", f"shape{d:+}={shapes[i + d]}"]
        yield [*found, f"pair-1={lower[i - 1]} {own}", f"pair+1={own} {lower[i + 1]}",
               f"shapes={' '.join(shapes[i - 1:i + 2])}"]


def pattern(word: str) -> str:
    """Return the class of each character of a word: ``McDonald's`` is ``AaAaaaaa'a``."""
    return "".join("A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in word)


def encodable(text: str) -> str:
    """Replace lone surrogates, which have no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=2**18)
def bucket(feature: str, buckets: int) -> int:
    """Return the bucket of a feature."""
    hashed = murmurhash3(encodable(feature).encode("utf-8"))
    return abs(hashed - 2**32 if hashed >= 2**31 else hashed) % buckets


def murmurhash3(data: bytes, seed: int = 0) -> int:
    """Compute MurmurHash3 (x86, 32 bits; Appleby 2011), unsigned."""
    hashed, end = seed, len(data) & ~3
    for i in range(0, end, 4):
        hashed ^= _mixed(int.from_bytes(data[i:i + 4], "little"))
        hashed = ((hashed << 13 | hashed >> 19) * 5 + 0xE6546B64) & MASK
    if len(data) > end:
        hashed ^= _mixed(int.from_bytes(data[end:], "little"))
    hashed ^= len(data)
    hashed = (hashed ^ hashed >> 16) * 0x85EBCA6B & MASK
    hashed = (hashed ^ hashed >> 13) * 0xC2B2AE35 & MASK
    return hashed ^ hashed >> 16


def _mixed(block: int) -> int:
    block = block * 0xCC9E2D51 & MASK
    return (block << 15 | block >> 17) * 0x1B873593 & MASK
