"""Add special tokens to the ids of a text or a pair of texts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embeddings.special_tokens import END_ID, SPECIAL_TOKENS, START_ID

N_TOKEN_TYPES = 4  # tokens of a pair: first or second text, times whether the other text has the token too


def framed(first: NDArray[np.int32], second: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """Return ``<s> first </s>`` or ``<s> first </s> second </s>``, as in BERT. *Shape:* ``(length,)``, int32."""
    parts = [[START_ID], first, [END_ID]] if second is None else [[START_ID], first, [END_ID], second, [END_ID]]
    return np.concatenate([np.asarray(part, dtype=np.int32) for part in parts])


def segment_ids(first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return segment ids of a framed pair: 0 for the first text, 1 for the second. *Shape:* ``(length,)``, int32."""
    return np.repeat(np.array([0, 1], dtype=np.int32), [len(first) + 2, len(second) + 1])


def token_types_of(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the token types of a framed pair: 0 or 1 for the text, plus 2 if the token is in both texts.

    The overlap of the texts is an input, because a small model cannot learn it from few pairs.

    Args:
        one: token ids of the first text. *Shape:* ``(length,)``, int32.
        other: token ids of the second text. *Shape:* ``(other length,)``, int32.

    Returns:
        *Shape:* ``(length + other length + 3,)``, int32.
    """
    shared = np.intersect1d(one, other)
    twice = np.isin(framed(one, other), shared[shared >= len(SPECIAL_TOKENS)])
    return segment_ids(one, other) + 2 * twice.astype(np.int32)


def shortened(
    first: NDArray[np.int32], second: NDArray[np.int32], room: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Truncate a pair of texts at the end, the longer one first (``longest_first`` in ``transformers``).

    Args:
        first: token ids. *Shape:* ``(length,)``, int32.
        second: token ids. *Shape:* ``(other length,)``, int32.
        room: maximum number of tokens of both texts together.
    """
    shorter = min(len(first), len(second), room // 2)
    if len(first) <= len(second):
        keep = min(len(first), max(shorter, room - len(second)))
        return first[:keep], second[: room - keep]
    keep = min(len(second), max(shorter, room - len(first)))
    return first[: room - keep], second[:keep]
