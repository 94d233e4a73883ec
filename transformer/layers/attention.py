"""Multi-head attention. Query, key and value weights are separate, so that each can be inspected by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.layers.positions import ScorePositions

MAX_KEYS = 1024  # longest text for which the scores of all pairs of tokens are stored


@dataclass
class KeyValueCache:
    """Keys and values of one attention layer, kept while a text is generated token by token.

    Attributes:
        keys: *Shape:* ``(batch, heads, length, d_head)``.
        values: *Shape:* as ``keys``.
    """

    keys: Tensor | None = None
    values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of new tokens, and return all of them."""
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat([self.keys, keys], dim=2), torch.cat([self.values, values], dim=2)
        self.keys, self.values = keys, values
        return keys, values

    def select(self, rows: Tensor) -> None:
        """Keep these rows of the batch, in this order; rows may repeat. *Shape:* ``(new batch,)``, int64."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys[rows], self.values[rows]


@dataclass
class LayerCache:
    """Cached keys and values of a layer's self-attention and of its cross-attention."""

    own: KeyValueCache = field(default_factory=KeyValueCache)
    memory: KeyValueCache = field(default_factory=KeyValueCache)

    def select(self, rows: Tensor) -> None:
        """Keep these rows of the batch. *Shape:* ``(new batch,)``, int64."""
        self.own.select(rows)
        self.memory.select(rows)


@dataclass(frozen=True)
class Memory:
    """The encoded text that a decoder attends to by cross-attention.

    Attributes:
        hidden: output of the encoder. *Shape:* ``(batch, memory length, d_model)``.
        mask: True for real tokens. *Shape:* ``(batch, 1, 1, memory length)``, bool.
    """

    hidden: Tensor
    mask: Tensor


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, section 3.2).

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
        self, x: Tensor, *, mask: Tensor | None = None, positions: ScorePositions | None = None,
        memory: Memory | None = None, cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Compute ``softmax(q k^T / sqrt(d_head)) v`` for every head.

        Args:
            x: *Shape:* ``(batch, length, d_model)``.
            mask: True where a key may be attended to; None for everywhere, or for the mask of ``memory``.
                *Shape:* broadcasts to ``(batch, heads, length, n_keys)``, bool.
            positions: what positions add to the scores or how they rotate queries and keys, if they do.
            memory: source of keys and values instead of ``x`` (cross-attention).
            cache: keys and values of earlier tokens, to which those of ``x`` are appended. With ``memory``, its keys
                and values are computed once and then taken from the cache.

        Returns:
            *Shape:* ``(batch, length, d_model)``.
        """
        q, k, v = self.project(x, positions=positions, memory=memory, cache=cache)   # (B, H, L or K, d_head)
        mask = memory.mask if memory is not None else mask
        attended = attend(q, k, v, mask=mask, bias=positions.bias if positions else None)
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))            # (B, L, d_model)
        return output

    def project(
        self, x: Tensor, *, positions: ScorePositions | None = None, memory: Memory | None = None,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute queries, keys and values; arguments as for :meth:`forward`.

        Returns:
            Queries ``(batch, heads, length, d_head)``, keys and values ``(batch, heads, n_keys, d_head)``.
        """
        if memory is None:
            q, k, v = self._split_heads(x, (self.query, self.key, self.value))       # (B, H, L, d_head)
        else:
            (q,) = self._split_heads(x, (self.query,))                               # (B, H, L, d_head)
            if cache is not None and cache.keys is not None and cache.values is not None:
                return q, cache.keys, cache.values
            k, v = self._split_heads(memory.hidden, (self.key, self.value))          # (B, H, K, d_head)
        if positions is not None:
            q, k = positions.rotate(q), positions.rotate(k)
        if cache is not None:
            k, v = cache.append(k, v)
        return q, k, v

    def _split_heads(self, x: Tensor, layers: Sequence[nn.Linear]) -> list[Tensor]:
        """Apply linear layers to the same input, by one matrix product, and split the results into heads."""
        weight, bias = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
        projected = F.linear(x, weight, bias)                                        # (B, L, n d_model)
        heads = projected.view(*x.shape[:2], len(layers), self.n_heads, -1)          # (B, L, n, H, d_head)
        return [part.transpose(1, 2) for part in heads.unbind(2)]                    # n of (B, H, L, d_head)


def attend(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None, bias: Tensor | None = None) -> Tensor:
    """Compute ``softmax(q k^T / sqrt(d_head) + bias) v`` (Vaswani et al. 2017, equation 1).

    The formula is written out for bfloat16 on a CPU, where PyTorch's fused kernel is slow with a mask.

    Args:
        q: *Shape:* ``(batch, heads, length, d_head)``.
        k: *Shape:* ``(batch, heads, n_keys, d_head)``.
        v: *Shape:* as ``k``.
        mask: True where a key may be attended to; None for everywhere. *Shape:* broadcasts to the scores, bool.
        bias: added to the scores. *Shape:* broadcasts to the scores, ``(batch, heads, length, n_keys)``.

    Returns:
        *Shape:* ``(batch, heads, length, d_head)``.
    """
    if bias is not None:
        mask = bias.to(q) if mask is None else bias.to(q).masked_fill(~mask, float("-inf"))
    if q.dtype != torch.bfloat16 or q.device.type != "cpu" or k.shape[2] > MAX_KEYS:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = (q * q.shape[-1] ** -0.5) @ k.mT                                        # (B, H, L, K)
    if mask is not None:
        scores = scores + mask if bias is not None else scores.masked_fill(~mask, float("-inf"))
    attended: Tensor = scores.softmax(dim=-1) @ v
    return attended
