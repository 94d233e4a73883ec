"""Attention and dropout in the form that is fastest where they run. This is the one place that chooses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LONGEST_WRITTEN_OUT = 1024  # keys; beyond, the scores of all pairs would take more memory than their speed is worth
BYTE = 256


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    """``softmax(q k^T / sqrt(d_head)) v`` (Vaswani et al. 2017, equation 1).

    torch's fused kernel, but for bfloat16 on a CPU, where it takes three times as long as the same written out
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
        return _attend_written_out(q, k, v, visible)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=visible)


def _attend_written_out(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)                                  # (B, H, L, n_keys)
    if visible is not None:  # adding is quicker than filling: the mask is small, the scores are not
        scores = scores + torch.zeros_like(visible, dtype=q.dtype).masked_fill_(~visible, float("-inf"))
    mixed: Tensor = scores.softmax(dim=-1) @ v
    return mixed


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
        return x * kept(x, self.p)


def kept(x: Tensor, p: float) -> Tensor:
    """A factor for each activation: 0 for a share ``p`` of them, else 1 / (1 - p), with ``p`` in 256ths.

    Returns:
        *Shape:* and dtype of ``x``.
    """
    dropped = min(max(1, round(p * BYTE)), BYTE - 1)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-2**63, None)        # 8 bytes in each
    drawn = words.view(torch.uint8)[: x.numel()].view(x.shape)
    return drawn.ge_(dropped).to(x.dtype).mul_(BYTE / (BYTE - dropped))
