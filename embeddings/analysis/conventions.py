"""Conventions of a vocabulary: case, digits and phrases, detected from its words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MANY_DIGITS = re.compile(r"\d\d")
ONLY_ZEROS = re.compile(r"(?:[^1-9]*0){2}[^1-9]*")
HASHES = re.compile(r"[.,:%$-]*#[#.,:%$-]*#[#.,:%$-]*")  # not BERT's ##ing
PHRASE = re.compile(r"[^\W\d_]_[^\W\d_]")

MAX_CASED = 0.001    # fraction of cased words that a lower-case vocabulary may contain
MIN_PHRASES = 0.01   # fraction of words that are phrases
MIN_ZEROS = 0.95     # fraction of numbers that consist of zeros


@dataclass(frozen=True)
class Conventions:
    """Conventions of a vocabulary.

    Attributes:
        lowercase: whether at most one word in a thousand is not in lower case.
        digits: ``#`` or ``0`` if it replaces every digit of longer numbers, ``unchanged``, or ``none``.
        phrases: whether phrases are joined by underscores, as in ``New_York``.
    """

    lowercase: bool
    digits: str
    phrases: bool

    def __str__(self) -> str:
        case = "lower case" if self.lowercase else "upper and lower case"
        digits = f"digits {self.digits}" if self.digits in ("unchanged", "none") else f"digits as {self.digits}"
        return f"{case}, {digits}, {'phrases joined by _' if self.phrases else 'no phrases'}"


def conventions_of(words: Iterable[str]) -> Conventions:
    """Detect the conventions of a vocabulary.

    Example:
        >>> str(conventions_of(["New_York", "the", "##", "##.#", "Paris"]))
        'upper and lower case, digits as #, phrases joined by _'
    """
    n_words = n_cased = n_numbers = n_zeros = n_hashes = n_phrases = 0
    for word in words:
        n_words += 1
        n_cased += word != word.lower()
        n_phrases += "_" in word and PHRASE.search(word) is not None
        if "#" in word:
            n_hashes += HASHES.fullmatch(word) is not None
        elif MANY_DIGITS.search(word):
            n_numbers += 1
            n_zeros += ONLY_ZEROS.fullmatch(word) is not None
    return Conventions(
        lowercase=n_cased <= MAX_CASED * n_words,
        digits=_digits(n_numbers, n_zeros, n_hashes),
        phrases=n_phrases > MIN_PHRASES * n_words,
    )


def _digits(n_numbers: int, n_zeros: int, n_hashes: int) -> str:
    if n_hashes > n_numbers:
        return "#"
    if not n_numbers:
        return "none"
    return "0" if n_zeros > MIN_ZEROS * n_numbers else "unchanged"
