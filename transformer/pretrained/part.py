"""The place of a weight in a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Part(NamedTuple):
    """A weight of ours, as a part of a tensor of a checkpoint.

    Attributes:
        name: name of the tensor.
        skip: number of rows that are left out.
        chunk: index and number of equal parts of the last dimension.
        is_transposed: the tensor is transposed.
        factor: by which the weight is multiplied.
    """

    name: str
    skip: int = 0
    chunk: tuple[int, int] = (0, 1)
    is_transposed: bool = False
    factor: float = 1.0

    def place(self, shape: Sequence[int]) -> tuple[slice, ...]:
        """Return the part of a tensor of this shape; raises ValueError if there is none."""
        index, n = self.chunk
        if not shape or shape[-1] % n:
            raise ValueError(f"a tensor of shape {list(shape)} does not have {n} equal parts")
        width = shape[-1] // n
        last = slice(index * width, (index + 1) * width)
        return (last,) if len(shape) == 1 else (slice(self.skip, shape[0]), last)

    def take(self, tensor: Tensor) -> Tensor:
        """Return the weight, without the factor, as a view of the tensor; raises as :meth:`place`."""
        own = tensor[self.place(tensor.shape)]
        return own.mT if self.is_transposed else own
