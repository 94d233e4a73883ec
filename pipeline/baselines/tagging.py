"""Baselines for tagging: most frequent tag, and logistic regression on a window."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from pipeline.baselines import linear
from pipeline.measures.tagging import repair

Sentences = Sequence[Sequence[str]]
RUNS = re.compile(r"(.)\1+")


def most_frequent_tag(words: Sentences, tags: Sentences, test: Sentences) -> list[list[str]]:
    """Predict the most frequent training tag of each word; for unseen words the most frequent tag of all words."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence, its_tags in zip(words, tags, strict=True):
        for word, tag in zip(sentence, its_tags, strict=True):
            counts[word][tag] += 1
    best = {word: _most_frequent(of_word) for word, of_word in counts.items()}
    default = _most_frequent(Counter(tag for its_tags in tags for tag in its_tags))
    return [repair([best.get(word, default) for word in sentence]) for sentence in test]


def logistic_regression(
    words: Sentences, tags: Sentences, test: Sentences, *, max_gb: float = math.inf
) -> list[list[str]]:
    """Predict each tag by logistic regression on the word, its shape, prefix and suffixes, and its neighbours.

    Raises:
        TooLargeError: if this needs more memory than ``max_gb``.
    """
    from sklearn.feature_extraction import DictVectorizer

    predicted = iter(linear.logistic_regression(
        [word for sentence in words for word in _features(sentence)], [tag for its_tags in tags for tag in its_tags],
        [word for sentence in test for word in _features(sentence)],
        features=DictVectorizer(), C=10, max_iter=1000, tol=1e-3, max_gb=max_gb))
    return [repair([next(predicted) for _ in sentence]) for sentence in test]


def shape(word: str) -> str:
    """Return the character classes of a word, with runs of a class reduced to one.

    Example:
        >>> shape("McDonald's"), shape("B-52")
        ("AaAa'a", 'A-0')
    """
    classes = "".join("A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in word)
    return RUNS.sub(r"\1", classes)


def _most_frequent(counts: Counter[str]) -> str:
    """Return the most frequent tag; ties are broken alphabetically."""
    return min(counts, key=lambda tag: (-counts[tag], tag))


def _features(sentence: Sequence[str]) -> Iterator[dict[str, str]]:
    padded = ["", "", *sentence, "", ""]
    for i, word in enumerate(sentence, start=2):
        lower = word.lower()
        named = {"word": lower, "shape": shape(word), "start": lower[:3]}
        named |= {f"end{n}": lower[-n:] for n in (1, 2, 3)}
        named |= {f"word{d:+}": padded[i + d].lower() for d in (-2, -1, 1, 2)}
        named |= {f"shape{d:+}": shape(padded[i + d]) for d in (-1, 1)}
        yield named
