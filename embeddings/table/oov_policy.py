"""What a word gets when the source does not list it: an explicit policy, tried in order and noted row by row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import SpecificationError
from embeddings.specification.suggest import did_you_mean

EXACT = "exact"        # the source lists the word as it stands
FOLDED = "folded"      # the source lists it in another case
DIGITS = "digits"      # the source lists it with its digits folded, as ## or 00
SUBWORD = "subword"    # composed from the source's character n-grams
SPELLING = "spelling"  # the mean of the listed words that are spelt most like it
RANDOM = "random"      # drawn
ZERO = "zero"          # zeros
MISSING = "missing"    # nothing found (yet)

KNOWN = frozenset({EXACT, FOLDED, DIGITS, SUBWORD, SPELLING})

STEPS = ("case", "digits", "subword", "spelling", "random", "zero")
N_NEAREST = 3            # listed words that a misspelt one is the mean of
LEAST_SIMILARITY = 75.0  # in per cent of the longer word's letters, to count as a spelling of it
DIGIT = re.compile(r"\d")


def is_known(provenance: str) -> bool:
    """Whether a source had something to say about the word (any part of a concatenation counts)."""
    return not KNOWN.isdisjoint(provenance.split("+"))


def cases(word: str) -> Iterator[str]:
    """The word as it stands, then in the cases that a vector file may have it in; each once."""
    yield from dict.fromkeys((word, word.lower(), word.capitalize(), word.upper()))


def folded_digits(word: str) -> Iterator[str]:
    """The word with every digit as ``#`` (Google News) and as ``0``, if it has any."""
    if DIGIT.search(word):
        yield DIGIT.sub("#", word)
        yield DIGIT.sub("0", word)


@dataclass(frozen=True)
class OOVPolicy:
    """What is tried for a word that the source does not list, in order.

    Attributes:
        steps: of ``case`` (lower, Capitalised, UPPER), ``digits`` (folded to ``#`` or ``0``), ``subword`` (from
            character n-grams), ``spelling`` (mean of the words that are spelt most like it), and at the end ``random``
            (drawn with the mean and spread of the source's own) or ``zero``. Without an end it is ``random``.

    Raises:
        SpecificationError: for an unknown step, a repeated one, or one that stands after the end.
    """

    steps: tuple[str, ...] = ("case", "digits", "subword", "random")

    def __post_init__(self) -> None:
        for step in self.steps:
            if step not in STEPS:
                raise SpecificationError(f"no policy for unknown words is called {step!r}."
                                         f"{did_you_mean(step, STEPS)} There are: {', '.join(STEPS)}")
        if len(set(self.steps)) < len(self.steps):
            raise SpecificationError(f"unknown words: a step stands twice in {', '.join(self.steps)}")
        for step in self.steps[:-1]:
            if step in (RANDOM, ZERO):
                raise SpecificationError(f"unknown words: {step!r} leaves nothing for the steps after it; put it last")

    @property
    def last(self) -> str:
        """What is left gets this: ``random`` or ``zero``."""
        return ZERO if ZERO in self.steps else RANDOM

    def variants(self, word: str) -> Iterator[tuple[str, str]]:
        """Other ways in which a source may list the word, each with its provenance, in the policy's order."""
        for step in self.steps:
            if step == "case":
                yield from ((spelling, FOLDED) for spelling in cases(word) if spelling != word)
            elif step == "digits":
                spellings = cases(word) if "case" in self.steps else (word,)
                yield from ((folded, DIGITS) for spelling in spellings for folded in folded_digits(spelling))

    @property
    def reads_all(self) -> bool:
        """Whether any word of a source may be needed, so that none may be left out in reading."""
        return "spelling" in self.steps


DEFAULT_POLICY = OOVPolicy()


class NearestSpelling:
    """The words of a list that are spelt most like another.

    Similarity is the share of equal letters in the best alignment (indel similarity, as RapidFuzz defines ``ratio``).

    Args:
        words: the list.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    @cached_property
    def _by_length(self) -> dict[int, list[int]]:
        rows: dict[int, list[int]] = {}
        for row, word in enumerate(self.words):
            rows.setdefault(len(word), []).append(row)
        return rows

    def rows(self, word: str) -> list[int]:
        """Rows of the likest words, at most ``N_NEAREST`` and only such as are alike enough; words of near length."""
        from rapidfuzz import fuzz, process

        lengths = range(max(1, len(word) - 2), len(word) + 3)
        candidates = {row: self.words[row] for length in lengths for row in self._by_length.get(length, ())}
        found = process.extract(word, candidates, scorer=fuzz.ratio, limit=N_NEAREST, score_cutoff=LEAST_SIMILARITY)
        return [row for _, _, row in found]


def parse_policy(steps: Iterable[str]) -> OOVPolicy:
    """Make a policy of names, given one by one or with commas between them."""
    return OOVPolicy(tuple(step.strip() for given in steps for step in given.split(",") if step.strip()))


def draw_like(known: NDArray[np.float32], n: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Draw vectors whose every column has the mean and spread that the known vectors have in it.

    Args:
        known: float32. *Shape:* ``(n_known, dim)``; with fewer than two rows, zeros are given instead.
        n: how many to draw.
        random: where the draws come from.

    Returns:
        float32. *Shape:* ``(n, dim)``.
    """
    dim = known.shape[1]
    if len(known) < 2:
        return np.zeros((n, dim), dtype=np.float32)
    drawn = random.standard_normal((n, dim), dtype=np.float32)
    matched: NDArray[np.float32] = drawn * known.std(axis=0) + known.mean(axis=0)
    return matched
