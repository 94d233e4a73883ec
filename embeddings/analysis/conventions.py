"""How a vector file writes its words, seen from the words: which case, which digits, with phrases or without."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MANY_DIGITS = re.compile(r"\d\d")
ONLY_ZEROS = re.compile(r"(?:[^1-9]*0){2}[^1-9]*")
HASHES = re.compile(r"[.,:%$-]*#[#.,:%$-]*#[#.,:%$-]*")  # not BERT's ##ing
PHRASE = re.compile(r"[^\W\d_]_[^\W\d_]")

FEW = 0.001     # a share of words that is still nothing: cased names in a file of lower case
LEAST_PHRASES = 0.01
NEARLY_ALL = 0.95


@dataclass(frozen=True)
class Conventions:
    """What the words of a file have in common.

    Attributes:
        lowercase: whether all words are in lower case (nearly: less than one in a thousand is not).
        digits: ``#`` or ``0`` if that stands for every digit of longer numbers, ``as they are``, or ``none``.
        phrases: whether phrases are joined by underscores, as in ``New_York``.
    """

    lowercase: bool
    digits: str
    phrases: bool

    def __str__(self) -> str:
        case = "in lower case" if self.lowercase else "in upper and lower case"
        digits = f"digits {self.digits}" if self.digits in ("as they are", "none") else f"digits as {self.digits}"
        return f"{case}, {digits}, {'phrases joined by _' if self.phrases else 'no phrases'}"


def conventions_of(words: Iterable[str]) -> Conventions:
    """See what the words have in common.

    Example:
        >>> str(conventions_of(["New_York", "the", "##", "##.#", "Paris"]))
        'in upper and lower case, digits as #, phrases joined by _'
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
        lowercase=n_cased <= FEW * n_words,
        digits=_digits(n_numbers, n_zeros, n_hashes),
        phrases=n_phrases > LEAST_PHRASES * n_words,
    )


def _digits(n_numbers: int, n_zeros: int, n_hashes: int) -> str:
    if n_hashes > n_numbers:
        return "#"
    if not n_numbers:
        return "none"
    return "0" if n_zeros > NEARLY_ALL * n_numbers else "as they are"
