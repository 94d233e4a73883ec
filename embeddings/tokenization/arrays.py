"""Arrays that grow in place, for parts that are too large to be in memory twice."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

SMALLEST = 1024  # elements for which there is room at first
ROOM = 16        # an array without room grows by one 16th: NumPy fills the room with zeros, so that it takes memory


class GrowingArray(Generic[T]):
    """A one-dimensional array to whose end parts are appended.

    The array is reallocated in place, for which the operating system moves the pages of large arrays instead of copying
    them; concatenating a list of parts needs twice the memory.

    Args:
        dtype: type of the elements.
    """

    def __init__(self, dtype: type[T]) -> None:
        self._array: NDArray[T] = np.empty(SMALLEST, dtype=dtype)
        self._size = 0

    def append(self, part: NDArray[T]) -> None:
        """Append the elements of an array. *Shape:* ``(n,)``."""
        end = self._size + len(part)
        if end > len(self._array):
            self._array.resize(max(end, len(self._array) + len(self._array) // ROOM), refcheck=False)
        self._array[self._size : end] = part
        self._size = end

    def finished(self) -> NDArray[T]:
        """Return the array, to which nothing may be appended afterwards. *Shape:* ``(n of all parts,)``."""
        self._array.resize(self._size, refcheck=False)
        return self._array
