"""Attention and dropout in the form that is fastest where they run. This is the one place that chooses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from transformer.kernels import native
from transformer.kernels.packing import Packing
from transformer.kernels.precision import low_dtype

LONGEST_WRITTEN_OUT = 1024  # keys; beyond, the scores of all pairs would take more memory than their speed is worth
ROW = 16  # of bfloat16, half of what AVX-512 takes at once


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """``softmax(q k^T / sqrt(d_head)) v`` (Vaswani et al. 2017, equation 1).

    torch's fused kernel, but for bfloat16 on a CPU, where that takes three times as long as the same written out
    (``speed/LOG.md``).

    Args:
        q: *Shape:* ``(batch, heads, length, d_head)``.
        k: *Shape:* ``(batch, heads, n_keys, d_head)``.
        v: likewise.
        mask: True where a key may be attended to; ``None`` if each query sees every key.
            *Shape:* broadcasts to ``(batch, heads, length, n_keys)``, bool.

    Returns:
        *Shape:* ``(batch, heads, length, d_head)``.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and k.shape[2] <= LONGEST_WRITTEN_OUT:
        mixed: Tensor = WrittenOut.apply(q, k, v, mask)  # type: ignore[no-untyped-call]
        return mixed
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class WrittenOut(torch.autograd.Function):
    """Attention as plain matrix products, forward and backward, with no copy of the scores that is not needed."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Mix the values; as :func:`attend`."""
        q, k, v = q * q.shape[-1] ** -0.5, k.contiguous(), v.contiguous()
        flat = [x.reshape(-1, *x.shape[2:]) for x in (q, k, v)]                             # (B H, L or n_keys, d_head)
        scores = (flat[0] @ flat[1].mT).view(*q.shape[:3], -1)                              # (B, H, L, n_keys)
        if mask is not None:  # adding is quicker than filling: the mask is small, the scores are not
            scores += additive(mask, q.dtype)
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
    """Whether layers over these rows are quicker as one operation (:mod:`transformer.kernels.fused_layer`)."""
    length = packing.length if packing else x.shape[1]
    return in_bfloat16_on_cpu(x.device) and x.dtype == torch.float32 and length <= LONGEST_WRITTEN_OUT


def compilable(weight: Tensor, d_model: int, d_ff: int, n_heads: int) -> bool:
    """Whether a layer of such weights and widths is quicker as compiled code (:mod:`transformer.kernels.native_layer`).

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


def padded_length(length: int, device: torch.device) -> int:
    """The length to fill texts up to for torch: where rows of 16 are quick and others are not, a multiple of 16."""
    return -(-length // ROW) * ROW if in_bfloat16_on_cpu(device) else length


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What to add to scores: 0 where a key is visible, else minus infinity. *Shape:* that of ``visible``."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, float("-inf"))
