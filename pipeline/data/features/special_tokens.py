"""One text, or two, as a row of word numbers with the special words around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embeddings.special_tokens import END_ID, SPECIAL_TOKENS, START_ID

N_TOKEN_TYPES = 4  # of words in a pair: of either text, and in the other one, too, or not


def framed(first: NDArray[np.int32], second: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """``<s> first </s>``, or ``<s> first </s> second </s>``: BERT's form. *Shape:* ``(length,)``, int32."""
    parts = [[START_ID], first, [END_ID]] if second is None else [[START_ID], first, [END_ID], second, [END_ID]]
    return np.concatenate([np.asarray(part, dtype=np.int32) for part in parts])


def text_numbers(first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.int32]:
    """Which of two framed texts each word is of: 0, then 1. *Shape:* as :func:`framed`'s, int32."""
    return np.repeat(np.array([0, 1], dtype=np.int32), [len(first) + 2, len(second) + 1])


def token_types_of(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.int32]:
    """The kind of each word of a framed pair: 0 or 1 for its text, and 2 more if the other text has the word, too.

    Without that a small model has to learn from few pairs which words are the same.

    Args:
        one: word numbers. *Shape:* ``(length,)``, int32.
        other: likewise.

    Returns:
        int32. *Shape:* as :func:`framed`'s.
    """
    shared = np.intersect1d(one, other)
    twice = np.isin(framed(one, other), shared[shared >= len(SPECIAL_TOKENS)])
    return text_numbers(one, other) + 2 * twice.astype(np.int32)


def shortened(
    first: NDArray[np.int32], second: NDArray[np.int32], room: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Cut the ends off two texts until both fit, the longer one first (``longest_first`` of ``transformers``).

    Args:
        first: *Shape:* ``(length,)``, int32.
        second: likewise.
        room: how many words may be left of both.
    """
    shorter = min(len(first), len(second), room // 2)
    if len(first) <= len(second):
        keep = min(len(first), max(shorter, room - len(second)))
        return first[:keep], second[: room - keep]
    keep = min(len(second), max(shorter, room - len(first)))
    return first[: room - keep], second[:keep]
