"""Simpler taggers: each word by itself, and a linear model of the word and its neighbours."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from pipeline.baselines import linear
from pipeline.measures.tagging import repair

Sentences = Sequence[Sequence[str]]
RUNS = re.compile(r"(.)\1+")


def commonest_tag(words: Sentences, tags: Sentences, test: Sentences) -> list[list[str]]:
    """The tag that each word has most often in training; for unseen words the commonest of all, ``O`` in entities."""
    of_word: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence, its_tags in zip(words, tags, strict=True):
        for word, tag in zip(sentence, its_tags, strict=True):
            of_word[word][tag] += 1
    best = {word: _first(counts) for word, counts in of_word.items()}
    otherwise = _first(Counter(tag for its_tags in tags for tag in its_tags))
    return [repair([best.get(word, otherwise) for word in sentence]) for sentence in test]


def logistic_regression(words: Sentences, tags: Sentences, test: Sentences) -> list[list[str]]:
    """Logistic regression on the word, its shape, prefix and suffixes, and its neighbours; each tag by itself."""
    from sklearn.feature_extraction import DictVectorizer

    guessed = iter(linear.logistic_regression(
        [one for sentence in words for one in _features(sentence)], [tag for its in tags for tag in its],
        [one for sentence in test for one in _features(sentence)],
        features=DictVectorizer(), C=10, max_iter=1000, tol=1e-3))
    return [repair([next(guessed) for _ in sentence]) for sentence in test]


def shape(word: str) -> str:
    """The word's kinds of characters, each run of a kind written once.

    Example:
        >>> shape("McDonald's"), shape("B-52")
        ("AaAa'a", 'A-0')
    """
    kinds = "".join("A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in word)
    return RUNS.sub(r"\1", kinds)


def _first(counts: Counter[str]) -> str:
    """The commonest, of equals the first in the alphabet."""
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
