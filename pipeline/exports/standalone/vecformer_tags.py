"""Tags and entities of a sentence from the scores of its tags. This file requires only NumPy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

LOWER, CAPITALISED, UPPER, MIXED, DIGITS, OTHER = range(6)  # shapes of words
# Characters that normalisation may have dropped at the end of a word.
BELONGING = re.compile(
    "(?:[\xad\u061c\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]*"
    "[^\\s\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0001-\U000e007f])*"
)

Places = Sequence[tuple[int, int]]
"""Start and end of each word in characters of the text."""


def shape_of(word: str) -> int:
    """Return the shape of a word, its token type."""
    if word.islower():
        return LOWER
    if word[:1].isupper() and (len(word) == 1 or word[1:].islower()):
        return CAPITALISED
    if word.isupper():
        return UPPER
    if word.lower() != word:
        return MIXED
    return DIGITS if any(map(str.isdigit, word)) else OTHER


def ends(text: str, places: Places) -> list[int]:
    """Return the true ends of words; the ``tokenizers`` library places them before a final accent that it composed."""
    limits = [start for start, _ in places[1:]] + [len(text)]
    return [match.end() if (match := BELONGING.match(text, end, limit)) else end
            for (_, end), limit in zip(places, limits, strict=False)]


def whole_words(text: str, places: Places) -> list[str]:
    """Return the words at places as written."""
    return [text[start:end] for (start, _), end in zip(places, ends(text, places), strict=True)]


def windows(n_words: int, *, room: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Divide a sentence into overlapping windows: start, end, and the words ``first`` to ``last`` that are tagged.

    Args:
        n_words: length of the sentence.
        room: length of a window.
        overlap: number of words that neighbouring windows share.
    """
    begins = starts(n_words, room=room, overlap=overlap)
    ends = [min(begin + room, n_words) for begin in begins]
    cuts = [0, *((begin + end) // 2 for begin, end in zip(begins[1:], ends, strict=False)), n_words]
    return list(zip(begins, ends, cuts, cuts[1:], strict=False))


def starts(n_words: int, *, room: int, overlap: int) -> range:
    """Return the start of each window over a text."""
    step = room - min(overlap, room // 2)
    return range(0, max(1, n_words - room + step), step)


def tags_of(scores: Any, labels: Sequence[str], *, plain: bool, constrained: bool) -> list[str]:
    """Return the tags of a sentence.

    Args:
        scores: *Shape:* ``(n_words, n_labels)``.
        labels: tags in the order of the scores.
        plain: the tags are not in IOB2.
        constrained: choose the most probable valid sequence instead of the most probable tag of each word.
    """
    if constrained and not plain and len(scores):
        return repair([labels[i] for i in best_sequence(scores, labels)])
    tags = [labels[i] for i in scores.argmax(axis=-1)]
    return tags if plain else repair(tags)


def best_sequence(scores: Any, labels: Sequence[str]) -> list[int]:
    """Return the sequence with the highest sum of scores in which ``I-x`` follows ``B-x`` or ``I-x`` (Viterbi)."""
    inside = np.array([tag.startswith("I-") and f"B-{tag[2:]}" in labels for tag in labels])
    continues = np.array([[before[:2] in ("B-", "I-") and before[2:] == tag[2:] for tag in labels]
                          for before in labels])
    penalty = np.where(~inside[None, :] | continues, 0.0, -np.inf)
    best = np.where(~inside, scores[0].astype(np.float64), -np.inf)
    before = np.zeros(scores.shape, dtype=np.int64)
    for i in range(1, len(scores)):
        paths = best[:, None] + penalty
        before[i] = paths.argmax(axis=0)
        best = paths.max(axis=0) + scores[i]
    chosen = [int(best.argmax())]
    for came_from in before[:0:-1]:
        chosen.append(int(came_from[chosen[-1]]))
    return chosen[::-1]


def repair(tags: Sequence[str]) -> list[str]:
    """Make tags valid IOB2: an ``I-`` that does not continue an entity becomes ``B-``."""
    made: list[str] = []
    for tag in tags:
        continues = made and made[-1][:1] in ("B", "I") and made[-1][1:] == tag[1:]
        made.append(tag if continues or not tag.startswith("I-") else "B-" + tag[2:])
    return made


def entities(tags: Sequence[str], spans: Sequence[tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    """Yield type, start and end of each entity, given the positions of the words in the text."""
    for first, tag in enumerate(tags):
        if tag.startswith("B-"):
            last = first
            while last + 1 < len(tags) and tags[last + 1].startswith("I-"):
                last += 1
            yield tag[2:], spans[first][0], spans[last][1]
