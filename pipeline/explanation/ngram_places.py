"""The words of a text to which the contributions of its n-grams belong.

The contribution of an n-gram is divided equally between its occurrences, and that of an occurrence between its
characters other than spaces. A word has the sum over its characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from embeddings.tokenization.ngrams import WORD_PATTERN
from pipeline.explanation.scores import Term
from pipeline.tasks.ngrams.config import NgramConfig

Occurrences = Iterator[tuple[str, Sequence[int]]]

SPACES = re.compile(r"\s+")


def character_contributions(text: str, contributions: Mapping[Term, float], config: NgramConfig) -> NDArray[np.float64]:
    """Divide the contributions of n-grams between the characters of their text.

    Args:
        text: the text that contains the n-grams.
        contributions: contribution of each distinct n-gram.
        config: lengths of the n-grams.

    Returns:
        Contribution of each character. *Shape:* ``(len(text),)``.
    """
    found = np.zeros(len(text))
    lowered, places = _lowered(text)
    shortest, longest = config.characters
    for family, occurrences in (("words", list(word_ngrams(lowered, config.words))),
                                ("characters", list(character_ngrams(lowered, shortest, longest)))):
        count: dict[str, int] = {}
        for ngram, _ in occurrences:
            count[ngram] = count.get(ngram, 0) + 1
        for ngram, characters in occurrences:
            value = contributions.get(Term(family, ngram), 0.0) / count[ngram]
            for i in characters if value else ():
                found[places[i]] += value / len(characters)
    return found


def word_ngrams(text: str, longest: int) -> Occurrences:
    """Yield every n-gram of words with the positions of its characters."""
    words = [match.span() for match in re.finditer(WORD_PATTERN, text)]
    for n in range(1, longest + 1):
        for start in range(len(words) - n + 1):
            spans = words[start:start + n]
            yield " ".join(text[a:b] for a, b in spans), [i for a, b in spans for i in range(a, b)]


def character_ngrams(text: str, shortest: int, longest: int) -> Occurrences:
    """Yield every n-gram of characters within words, as ``char_wb`` of scikit-learn, with their positions.

    A word is what is between spaces, with a space on either side. Of a word that is shorter than an n-gram there is one
    n-gram, the whole word.
    """
    bounds = [0, *(i for match in SPACES.finditer(text) for i in match.span()), len(text)]
    for start, end in list(pairwise(bounds))[::2]:
        if start == end:
            continue
        word = f" {text[start:end]} "
        for n in range(shortest, longest + 1):
            for offset in range(max(1, len(word) - n + 1)):
                inside = range(max(offset, 1), min(offset + n, len(word) - 1))
                yield word[offset:offset + n], [start + i - 1 for i in inside]
            if len(word) <= n:
                break


def _lowered(text: str) -> tuple[str, list[int]]:
    """Return a text in lower case, and the position in the text of each of its characters."""
    return text.lower(), [i for i, character in enumerate(text) for _ in character.lower()]
