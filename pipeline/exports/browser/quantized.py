"""Matrices as int8 with a scale for each row, and their place in a block of bytes."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 127
ALIGNMENT = 8  # bytes, for typed arrays of JavaScript
LEVEL = 9


@dataclass(frozen=True)
class Quantized:
    """A matrix of int8.

    Attributes:
        values: int8. *Shape:* ``(n, m)``.
        scales: float32. *Shape:* ``(n,)``.
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float32]

    @classmethod
    def of(cls, matrix: NDArray[np.float32]) -> Quantized:
        """Quantise each row to the multiples of a 127th of its largest absolute value. *Shape:* ``(n, m)``."""
        scales = (np.abs(matrix).max(axis=1, initial=0.0) / LARGEST).astype(np.float32)     # (n,)
        values = np.rint(matrix / np.where(scales > 0, scales, 1)[:, None])                 # (n, m)
        return cls(values.astype(np.int8), scales)

    def matrix(self) -> NDArray[np.float32]:
        """Return the values that the int8 numbers represent. *Shape:* ``(n, m)``, float32."""
        return self.values * self.scales[:, None]

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return both arrays by name."""
        return {name: self.values, f"{name}.scales": self.scales}


@dataclass(frozen=True)
class Packed:
    """Arrays in one block of bytes.

    Attributes:
        index: name, type, shape and first byte of each array, JSON-serialisable.
        text: the bytes, compressed (zlib), in base64.
    """

    index: list[dict[str, Any]]
    text: str


def packed(arrays: Mapping[str, NDArray[Any]]) -> Packed:
    """Pack arrays of int8, int16, uint8 and float32."""
    content, index = bytearray(), []
    for name, array in arrays.items():
        content += bytes(-len(content) % ALIGNMENT)
        index.append({"name": name, "type": array.dtype.name, "shape": list(array.shape), "at": len(content)})
        content += array.astype(array.dtype.newbyteorder("<")).tobytes()
    return Packed(index, base64.b64encode(zlib.compress(bytes(content), LEVEL)).decode())


def packed_size(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Return the number of characters of packed arrays."""
    return len(packed(arrays).text)


def gaps(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Encode ascending numbers as the gaps between them, 7 bits a byte, the lowest first (LEB128).

    Args:
        numbers: ascending, from 0. *Shape:* ``(n,)``.
    """
    left = np.diff(numbers, prepend=0)                                                      # (n,)
    columns: list[NDArray[np.int64]] = []
    while len(left) and (not columns or left.any()):
        columns.append(left & 127)
        left = left >> 7
    if not columns:
        return np.zeros(0, np.uint8)
    table = np.stack(columns, axis=1)                                                       # (n, longest)
    last = np.where(table > 0, np.arange(table.shape[1]), 0).max(axis=1)                    # (n,)
    place = np.arange(table.shape[1])[None]
    table = table + 128 * (place < last[:, None])
    encoded: NDArray[np.uint8] = table[place <= last[:, None]].astype(np.uint8)
    return encoded
