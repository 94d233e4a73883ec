"""Concatenation of arrays that are too large to be in memory twice."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


def joined(parts: list[NDArray[T]], dtype: type[T]) -> NDArray[T]:
    """Concatenate arrays; each is removed from the list when it is copied, so that all of them are in memory once.

    Args:
        parts: the arrays; the list is empty afterwards. *Shape* of each: ``(n,)``.
        dtype: their type.

    Returns:
        *Shape:* ``(n of all,)``.
    """
    whole: NDArray[Any] = np.empty(sum(map(len, parts)), dtype=dtype)
    parts.reverse()
    end = 0
    while parts:
        part = parts.pop()
        whole[end : end + len(part)] = part
        end += len(part)
    return whole
