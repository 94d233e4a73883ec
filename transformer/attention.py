"""Multi-head attention, the query, key and value weights kept apart so that each can be looked at by its own name."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.positions import Rotation


@dataclass
class KeyValueCache:
    """Keys and values of one attention layer, kept while a text grows word by word.

    Attributes:
        keys: of the words so far. *Shape:* ``(batch, heads, length, d_head)``.
        values: likewise.
    """

    keys: Tensor | None = None
    values: Tensor | None = None

    def extended(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of new words, and give all."""
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat([self.keys, keys], dim=2), torch.cat([self.values, values], dim=2)
        self.keys, self.values = keys, values
        return keys, values

    def select(self, rows: Tensor) -> None:
        """Keep these rows of the batch, in this order; a row may come twice. *Shape:* ``(new batch,)``, int64."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys[rows], self.values[rows]


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

    def forward(
        self, x: Tensor, *, visible: Tensor | None, rotation: Rotation | None = None, memory: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Mix every position with those it may see: ``softmax(q k^T / sqrt(d_head)) v``, head by head.

        Args:
            x: *Shape:* ``(batch, length, d_model)``.
            visible: True where a key may be attended to; ``None`` if each query sees every key.
                *Shape:* broadcasts to ``(batch, heads, length, n_keys)``, bool.
            rotation: turns queries and keys to their places.
            memory: keys and values are taken from here instead of ``x`` (cross-attention). *Shape:*
                ``(batch, memory length, d_model)``.
            cache: keys and values of earlier words; those of ``x`` are appended. With ``memory`` its keys and values
                are computed once and then taken from here.

        Returns:
            *Shape:* ``(batch, length, d_model)``.
        """
        q, k, v = self.project(x, rotation=rotation, memory=memory, cache=cache)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible)                     # (B, H, L, d_head)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))                         # (B, L, d_model)
        return output

    def project(
        self, x: Tensor, *, rotation: Rotation | None = None, memory: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, as :meth:`forward` mixes them.

        Returns:
            *Shape:* ``(batch, heads, length, d_head)``, ``(batch, heads, n_keys, d_head)`` twice.
        """
        q = self._split(self.query(x))                                                         # (B, H, L, d_head)
        if memory is not None and cache is not None and cache.keys is not None and cache.values is not None:
            return q, cache.keys, cache.values
        read = x if memory is None else memory
        k, v = self._split(self.key(read)), self._split(self.value(read))                      # (B, H, n_keys, d_head)
        if rotation is not None:
            q, k = rotation.turn(q), rotation.turn(k)
        if cache is not None:
            k, v = cache.extended(k, v)
        return q, k, v

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.n_heads, -1).transpose(1, 2)
