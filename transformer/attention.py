"""Multi-head attention, the query, key and value weights kept apart so that each can be looked at by its own name."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention over several heads (Vaswani et al. 2017, section 3.2).

    Args:
        d_model: width of the residual stream; a multiple of ``n_heads``.
        n_heads: number of heads, each of width ``d_model // n_heads``.

    Raises:
        ValueError: if ``d_model`` is not a multiple of ``n_heads``.
    """

    def __init__(self, *, d_model: int, n_heads: int) -> None:
        super().__init__()
        if d_model % n_heads:
            raise ValueError(f"d_model={d_model} is not a multiple of n_heads={n_heads}")
        self.n_heads = n_heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, *, padding_mask: Tensor) -> Tensor:
        """Mix every position with those it may see: ``softmax(q k^T / sqrt(d_head)) v``, head by head.

        Args:
            x: *Shape:* ``(batch, length, d_model)``.
            padding_mask: True where there is a word, False where there is padding. *Shape:* ``(batch, length)``, bool.

        Returns:
            *Shape:* ``(batch, length, d_model)``.
        """
        q, k, v = (self._split(project(x)) for project in (self.query, self.key, self.value))  # (B, H, L, d_head)
        visible = padding_mask[:, None, None, :]                                               # (B, 1, 1, L)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible)                     # (B, H, L, d_head)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))                         # (B, L, d_model)
        return output

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.n_heads, -1).transpose(1, 2)
