"""Attention and dropout in the form that is fastest where they run. This is the one place that chooses."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer import native
from transformer.packing import Packing
from transformer.precision import low_dtype

LONGEST_WRITTEN_OUT = 1024  # keys; beyond, the scores of all pairs would take more memory than their speed is worth
BYTE = 256
ROW = 16  # of bfloat16, half of what AVX-512 takes at once
MIB = 2**20
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    """``softmax(q k^T / sqrt(d_head)) v`` (Vaswani et al. 2017, equation 1).

    torch's fused kernel, but for bfloat16 on a CPU, where that takes three times as long as the same written out
    (``benchmarks/LOG.md``).

    Args:
        q: *Shape:* ``(batch, heads, length, d_head)``.
        k: *Shape:* ``(batch, heads, n_keys, d_head)``.
        v: likewise.
        visible: True where a key may be attended to; ``None`` if each query sees every key.
            *Shape:* broadcasts to ``(batch, heads, length, n_keys)``, bool.

    Returns:
        *Shape:* ``(batch, heads, length, d_head)``.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and k.shape[2] <= LONGEST_WRITTEN_OUT:
        mixed: Tensor = WrittenOut.apply(q, k, v, visible)  # type: ignore[no-untyped-call]
        return mixed
    return F.scaled_dot_product_attention(q, k, v, attn_mask=visible)


class WrittenOut(torch.autograd.Function):
    """Attention as plain matrix products, forward and backward, with no copy of the scores that is not needed."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
        """Mix the values; as :func:`attend`."""
        q, k, v = q * q.shape[-1] ** -0.5, k.contiguous(), v.contiguous()
        flat = [x.reshape(-1, *x.shape[2:]) for x in (q, k, v)]                             # (B H, L or n_keys, d_head)
        scores = (flat[0] @ flat[1].mT).view(*q.shape[:3], -1)                              # (B, H, L, n_keys)
        if visible is not None:  # adding is quicker than filling: the mask is small, the scores are not
            scores += additive(visible, q.dtype)
        pattern = scores.softmax(dim=-1).flatten(0, 1)                                      # (B H, L, n_keys)
        ctx.save_for_backward(*flat, pattern)
        return (pattern @ flat[2]).view_as(q)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of queries, keys and values."""
        q, k, v, pattern = ctx.saved_tensors
        heads = gradients[0].shape[:2]
        grad = gradients[0].reshape(q.shape)                                                # (B H, L, d_head)
        of_scores = torch._softmax_backward_data(grad @ v.mT, pattern, -1, pattern.dtype)   # (B H, L, n_keys)
        of_q = (of_scores @ k).mul_(q.shape[-1] ** -0.5)
        found = (of_q, of_scores.mT @ q, pattern.mT @ grad)
        return *(x.unflatten(0, heads) for x in found), None


def in_bfloat16_on_cpu(device: torch.device) -> bool:
    """Whether matrix products are in bfloat16 now, by autocast, and on a CPU."""
    return device.type == "cpu" and low_dtype(device) == torch.bfloat16


def fusible(x: Tensor, packing: Packing | None) -> bool:
    """Whether layers over these rows are quicker as one operation (:mod:`transformer.fused`)."""
    length = packing.length if packing else x.shape[1]
    return in_bfloat16_on_cpu(x.device) and x.dtype == torch.float32 and length <= LONGEST_WRITTEN_OUT


def compilable(weight: Tensor, d_model: int, d_ff: int, n_heads: int) -> bool:
    """Whether a layer of such weights and widths is quicker as compiled code (:mod:`transformer.compiled`).

    Not in bfloat16 where a processor has matrix units for it (AMX), which torch uses and this code does not.
    """
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not _COMPILED.get():
        return False
    fits = all(width % native.LANES == 0 for width in (d_model, d_ff, d_model // n_heads))
    low = low_dtype(weight.device)
    return fits and native.available(low) and not (low == torch.bfloat16 and _has_matrix_units())


_COMPILED: ContextVar[bool] = ContextVar("compiled", default=True)


@contextmanager
def compiled_layers(allowed: bool) -> Iterator[None]:
    """Let compiled layers be used within the block, or torch's alone."""
    token = _COMPILED.set(allowed)
    try:
        yield
    finally:
        _COMPILED.reset(token)


@cache
def _has_matrix_units() -> bool:
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(found.get("amx_bf16"))


def comfortable(length: int, device: torch.device) -> int:
    """The length to fill texts up to for torch: where rows of 16 are quick and others are not, a multiple of 16."""
    return -(-length // ROW) * ROW if in_bfloat16_on_cpu(device) else length


def additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """What to add to scores: 0 where a key is visible, else minus infinity. *Shape:* that of ``visible``."""
    return torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, float("-inf"))


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
    """As :func:`kept`, from what is drawn for the pass, if there is such (:func:`one_draw`). *Shape:* ``(n,)``."""
    drawn = _DRAWN.get()
    return kept(n, p, dtype) if drawn is None else drawn.window(n, p, dtype)


def kept(n: int, p: float, dtype: torch.dtype) -> Tensor:
    """Factors for activations: 0 for a share ``p`` of them, in 256ths, else 1 / (1 - p). *Shape:* ``(n,)``."""
    dropped = n_dropped(p)
    words = torch.empty(-(-n // 8), dtype=torch.int64).random_(-2**63, None)                # 8 bytes in each
    return words.view(torch.uint8)[:n].ge_(dropped).to(dtype).mul_(BYTE / (BYTE - dropped))


def n_dropped(p: float) -> int:
    """Of 256 activations, as many as stand for a share ``p``: neither none nor all."""
    return min(max(1, round(p * BYTE)), BYTE - 1)


class Drawn:
    """Factors of :func:`kept` that all dropout layers of one pass share: each has a window at a random place.

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
            factors = self._factors[p, dtype] = kept(needed, p, dtype)
        start = int(torch.randint(len(factors) - n + 1, ()))
        return factors[start : start + n]


_DRAWN: ContextVar[Drawn | None] = ContextVar("drawn", default=None)


@contextmanager
def one_draw() -> Iterator[None]:
    """Let the dropout layers share what is drawn for them within the block, which should be one pass."""
    token = _DRAWN.set(Drawn())
    try:
        yield
    finally:
        _DRAWN.reset(token)


def keep_freed_memory() -> None:
    """Let this process keep memory that is freed, where the C library is glibc; elsewhere nothing happens.

    A training step frees what the next one needs again. glibc would hand it to the system and ask for it anew, and the
    system fills it with zeros each time: a tenth of a step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, size in ((M_MMAP_THRESHOLD, 32 * MIB), (M_TRIM_THRESHOLD, 1024 * MIB), (M_TOP_PAD, 64 * MIB)):
            mallopt(option, size)


@contextmanager
def passing_over_the_old() -> Iterator[None]:
    """Let the garbage collector pass over what there is already within the block.

    It would go through every word of a large vocabulary again and again.
    """
    if gc.get_freeze_count():  # somebody else does so
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
