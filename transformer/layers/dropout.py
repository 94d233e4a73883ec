"""Dropout with cheap random numbers on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

BYTE = 256


class Dropout(nn.Dropout):
    """Drops a share ``p`` of the activations in training and scales up the others (Srivastava et al. 2014).

    On a CPU torch draws a number of 24 bits for each activation, one after another, which takes longer than the matrix
    product before it. There, one byte each is drawn, so that ``p`` counts in 256ths (0.1 is 26 of them), and what is
    kept is scaled by exactly what that share asks for. The bytes come from torch's own generator.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Drop activations. *Shape:* any, the same out."""
        if not self.training or not self.p or x.device.type != "cpu":
            return super().forward(x)
        return x * dropout_factors(x.numel(), self.p, x.dtype).view(x.shape)


def dropout_factors(n: int, p: float, dtype: torch.dtype) -> Tensor:
    """As :func:`dropout_mask`, or a window of a :func:`shared_masks` block's mask. *Shape:* ``(n,)``."""
    drawn = _SHARED.get()
    return dropout_mask(n, p, dtype) if drawn is None else drawn.window(n, p, dtype)


def dropout_mask(n: int, p: float, dtype: torch.dtype) -> Tensor:
    """Factors for activations: 0 for a share ``p`` of them, in 256ths, else 1 / (1 - p). *Shape:* ``(n,)``."""
    dropped = n_dropped(p)
    words = torch.empty(-(-n // 8), dtype=torch.int64).random_(-2**63, None)                # 8 bytes in each
    return words.view(torch.uint8)[:n].ge_(dropped).to(dtype).mul_(BYTE / (BYTE - dropped))


def n_dropped(p: float) -> int:
    """Of 256 activations, as many as stand for a share ``p``: neither none nor all."""
    return min(max(1, round(p * BYTE)), BYTE - 1)


class SharedMasks:
    """Factors of :func:`dropout_mask` that all dropout layers of one pass share: each has a window at a random place.

    Two layers may so drop the same pattern, but shifted by a random number of activations, which have nothing to do
    with each other. Drawing for each layer anew costs several times as much.
    """

    def __init__(self) -> None:
        self._factors: dict[tuple[float, torch.dtype], Tensor] = {}

    def window(self, n: int, p: float, dtype: torch.dtype) -> Tensor:
        """Factors for activations. *Shape:* ``(n,)``."""
        factors = self._factors.get((p, dtype))
        needed = n + n // 4 + 64
        if factors is None or len(factors) < needed:
            factors = self._factors[p, dtype] = dropout_mask(needed, p, dtype)
        start = int(torch.randint(len(factors) - n + 1, ()))
        return factors[start : start + n]


_SHARED: ContextVar[SharedMasks | None] = ContextVar("drawn", default=None)


@contextmanager
def shared_masks() -> Iterator[None]:
    """Let the dropout layers share what is drawn for them within the block, which should be one pass."""
    token = _SHARED.set(SharedMasks())
    try:
        yield
    finally:
        _SHARED.reset(token)
