"""Dropout with inexpensive random numbers on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

BYTE = 256


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014), with one random byte for each activation on a CPU.

    PyTorch draws 24 bits for each activation, one after another, which takes longer than the matrix product before it.
    With a byte, the probability is a multiple of 1/256 (0.1 becomes 26/256), and the other activations are scaled by
    exactly the factor that this probability asks for. The bytes come from PyTorch's default generator.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Drop activations in training. *Shape:* any."""
        if not self.training or not self.p or x.device.type != "cpu":
            return super().forward(x)
        return x * dropout_factors(x.numel(), self.p, x.dtype).view(x.shape)


def dropout_factors(n: int, p: float, dtype: torch.dtype) -> Tensor:
    """Draw a :func:`dropout_mask`, or take a window of the shared one (:func:`shared_masks`). *Shape:* ``(n,)``."""
    shared = _SHARED.get()
    return dropout_mask(n, p, dtype) if shared is None else shared.window(n, p, dtype)


def dropout_mask(n: int, p: float, dtype: torch.dtype) -> Tensor:
    """Draw factors of activations: 0 with probability ``p``, in 256ths, else 1 / (1 - p). *Shape:* ``(n,)``."""
    dropped = n_dropped(p)
    words = torch.empty(-(-n // 8), dtype=torch.int64).random_(-2**63, None)                # 8 random bytes each
    return words.view(torch.uint8)[:n].ge_(dropped).to(dtype).mul_(BYTE / (BYTE - dropped))


def n_dropped(p: float) -> int:
    """Return the probability ``p`` in 256ths, at least 1 and at most 255."""
    return min(max(1, round(p * BYTE)), BYTE - 1)


class SharedMasks:
    """A long :func:`dropout_mask` of which each dropout layer of a forward pass takes a window at a random offset.

    Drawing once costs a fraction of drawing for each layer. Windows of two layers may overlap, but then the same factor
    belongs to unrelated activations.
    """

    def __init__(self) -> None:
        self._factors: dict[tuple[float, torch.dtype], Tensor] = {}

    def window(self, n: int, p: float, dtype: torch.dtype) -> Tensor:
        """Return factors of ``n`` activations. *Shape:* ``(n,)``."""
        factors = self._factors.get((p, dtype))
        needed = n + n // 4 + 64
        if factors is None or len(factors) < needed:
            factors = self._factors[p, dtype] = dropout_mask(needed, p, dtype)
        start = int(torch.randint(len(factors) - n + 1, ()))
        return factors[start : start + n]


_SHARED: ContextVar[SharedMasks | None] = ContextVar("shared_masks", default=None)


@contextmanager
def shared_masks() -> Iterator[None]:
    """Share random numbers between the dropout layers inside the block, which should be one forward pass."""
    token = _SHARED.set(SharedMasks())
    try:
        yield
    finally:
        _SHARED.reset(token)
