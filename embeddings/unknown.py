"""What a word gets when the source does not list it: other spellings, then a vector drawn like the source's own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

EXACT = "exact"        # the source lists the word as it stands
FOLDED = "folded"      # the source lists it in another case
SUBWORD = "subword"    # composed from the source's character n-grams
RANDOM = "random"      # drawn
MISSING = "missing"    # nothing found (yet)


def spellings(word: str) -> Iterator[str]:
    """The word as it stands, then in the cases that a vector file may have it in; each spelling once."""
    yield from dict.fromkeys((word, word.lower(), word.capitalize(), word.upper()))


def is_known(provenance: str) -> bool:
    """Whether a source had something to say about the word (any part of a concatenation counts)."""
    return any(part in (EXACT, FOLDED, SUBWORD) for part in provenance.split("+"))


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
