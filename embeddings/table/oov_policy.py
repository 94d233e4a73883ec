"""Out-of-vocabulary policy: fallbacks for words that a source does not list, and the provenance of each row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import SpecificationError
from embeddings.specification.suggest import did_you_mean
from embeddings.table.moments import deviation, mean

EXACT = "exact"        # the source lists the word unchanged
FOLDED = "folded"      # the source lists it in another case
DIGITS = "digits"      # the source lists it with its digits replaced, as ## or 00
SUBWORD = "subword"    # composed from character n-grams or subwords
WORDS = "words"        # a subword: mean of the words of the text that contain it, weighted by their counts
COPIED = "copied"      # transplant: the row of the same token of a checkpoint
MIXED = "mixed"        # transplant: computed from the rows of a checkpoint by a method
SPELLING = "spelling"  # mean of the listed words with the most similar spelling
RANDOM = "random"      # drawn at random
ZERO = "zero"          # zeros
MISSING = "missing"    # no vector (yet)

KNOWN = frozenset({EXACT, FOLDED, DIGITS, SUBWORD, WORDS, SPELLING, COPIED, MIXED})

STEPS = ("case", "digits", "subword", "spelling", "random", "zero")
N_NEAREST = 3          # listed words whose mean represents a misspelt word
MIN_SIMILARITY = 75.0  # indel similarity of the spellings, in per cent
DIGIT = re.compile(r"\d")


def is_known(provenance: str) -> bool:
    """Return whether the source has a vector for the word (any part of a concatenation counts)."""
    return not KNOWN.isdisjoint(provenance.split("+"))


def cases(word: str) -> Iterator[str]:
    """Yield the word, then its lower, capitalised and upper case; each once."""
    yield from dict.fromkeys((word, word.lower(), word.capitalize(), word.upper()))


def folded_digits(word: str) -> Iterator[str]:
    """Yield the word with every digit as ``#`` (Google News) and as ``0``."""
    yield DIGIT.sub("#", word)
    yield DIGIT.sub("0", word)


@dataclass(frozen=True)
class OOVPolicy:
    """Fallbacks for out-of-vocabulary words, in order.

    Attributes:
        steps: any of ``case`` (lower, Capitalised, UPPER), ``digits`` (replaced by ``#`` or ``0``), ``subword``
            (composed from character n-grams) and ``spelling`` (mean of the words with the most similar spelling), and
            last ``random`` (drawn with the mean and standard deviation of the source's vectors; the default) or
            ``zero``.

    Raises:
        SpecificationError: for an unknown or repeated step, or one after ``random`` or ``zero``.
    """

    steps: tuple[str, ...] = ("case", "digits", "subword", "random")

    def __post_init__(self) -> None:
        for step in self.steps:
            if step not in STEPS:
                raise SpecificationError(f"no step for out-of-vocabulary words is called {step!r}."
                                         f"{did_you_mean(step, STEPS)} There are: {', '.join(STEPS)}")
        if len(set(self.steps)) < len(self.steps):
            raise SpecificationError(f"out-of-vocabulary words: a step is repeated in {','.join(self.steps)}; "
                                     "name each once")
        for step in self.steps[:-1]:
            if step in (RANDOM, ZERO):
                raise SpecificationError(f"out-of-vocabulary words: no step can follow {step!r}; put it last")

    @property
    def last(self) -> str:
        """Return the final fallback: ``random`` or ``zero``."""
        return ZERO if ZERO in self.steps else RANDOM

    def variants(self, word: str) -> Iterator[tuple[str, str]]:
        """Yield other forms in which a source may list the word, with their provenance, in the policy's order."""
        for step in self.steps:
            if step == "case":
                yield from ((spelling, FOLDED) for spelling in cases(word) if spelling != word)
            elif step == "digits" and DIGIT.search(word):
                spellings = cases(word) if "case" in self.steps else (word,)
                yield from ((folded, DIGITS) for spelling in spellings for folded in folded_digits(spelling))

    def variant_filter(self, listed: Iterable[str]) -> Callable[[str], bool]:
        """Return a predicate that is false only for words without a variant among the listed words.

        For most words it is several times as fast as looking up their variants.
        """
        lower_case = {word.lower() for word in listed}

        def has_variant(word: str) -> bool:
            lower = word.lower()
            return (lower in lower_case or not word.isascii()
                    or (not word.isalpha() and any(folded in lower_case for folded in folded_digits(lower))))

        return has_variant

    @property
    def reads_all(self) -> bool:
        """Whether any word of a source may be needed, so that every row has to be read."""
        return "spelling" in self.steps


DEFAULT_POLICY = OOVPolicy()


class NearestSpelling:
    """Finds the words of a list with the most similar spelling.

    Similarity is the normalised indel similarity (``ratio`` of RapidFuzz).

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

    def rows(self, words: Sequence[str]) -> list[NDArray[np.int64]]:
        """Return for each word the rows of at most ``N_NEAREST`` words of similar length and sufficient similarity."""
        return [np.array(self._rows(word), np.int64) for word in words]

    def _rows(self, word: str) -> list[int]:
        from rapidfuzz import fuzz, process

        lengths = range(max(1, len(word) - 2), len(word) + 3)
        candidates = {row: self.words[row] for length in lengths for row in self._by_length.get(length, ())}
        found = process.extract(word, candidates, scorer=fuzz.ratio, limit=N_NEAREST, score_cutoff=MIN_SIMILARITY)
        return [row for _, _, row in found]


def parse_policy(steps: Iterable[str]) -> OOVPolicy:
    """Parse a policy from names of steps, given singly or separated by commas."""
    return OOVPolicy(tuple(step.strip() for given in steps for step in given.split(",") if step.strip()))


def draw_like(known: NDArray[np.float32], n: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Draw vectors whose columns have the mean and standard deviation of the known vectors.

    Args:
        known: float32. *Shape:* ``(n_known, dim)``; with fewer than two rows zeros are returned.
        n: number of vectors.
        random: random generator.

    Returns:
        float32. *Shape:* ``(n, dim)``.
    """
    dim = known.shape[1]
    if len(known) < 2:
        return np.zeros((n, dim), dtype=np.float32)
    drawn = random.standard_normal((n, dim), dtype=np.float32)
    return (drawn * deviation(known, axis=0) + mean(known, axis=0)).astype(np.float32, copy=False)
