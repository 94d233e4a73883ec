"""Multi-head attention, the query, key and value weights kept apart so that each can be looked at by its own name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.kernels.engine import attend
from transformer.kernels.packing import Packing
from transformer.layers.positions import Rotation


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


@dataclass(frozen=True)
class Memory:
    """Another text that a decoder looks at.

    Attributes:
        hidden: *Shape:* ``(batch, memory length, d_model)``.
        mask: True where there is a word. *Shape:* ``(batch, 1, 1, memory length)``, bool.
    """

    hidden: Tensor
    mask: Tensor


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
        self, x: Tensor, *, mask: Tensor | None, rotation: Rotation | None = None, memory: Tensor | None = None,
        cache: KeyValueCache | None = None, packing: Packing | None = None,
    ) -> Tensor:
        """Mix every position with those it may see: ``softmax(q k^T / sqrt(d_head)) v``, head by head.

        Args:
            x: *Shape:* ``(batch, length, d_model)``, or ``(n_rows, d_model)`` with a packing.
            mask: True where a key may be attended to; ``None`` if each query sees every key.
                *Shape:* broadcasts to ``(batch, heads, length, n_keys)``, bool.
            rotation: turns queries and keys to their places.
            memory: keys and values are taken from here instead of ``x`` (cross-attention). *Shape:*
                ``(batch, memory length, d_model)``.
            cache: keys and values of earlier words; those of ``x`` are appended. With ``memory`` its keys and values
                are computed once and then taken from here.
            packing: of ``x``, if its padding is left out.

        Returns:
            *Shape:* that of ``x``.
        """
        q, k, v = self.project(x, rotation=rotation, memory=memory, cache=cache, packing=packing)
        mixed = attend(q, k, v, mask).transpose(1, 2).flatten(2)                            # (B, L, d_model)
        output: Tensor = self.output(packing.pack(mixed) if packing else mixed)                # (B, L, d_model)
        return output

    def first_word(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What :meth:`forward` makes of each text's first word, without the keys and values of any word.

        With one query to a text, ``q . (W_K x_j)`` is ``(q W_K) . x_j``, and the sum of ``p_j W_V x_j`` is ``W_V`` of
        the sum of ``p_j x_j``: two maps for a text take the place of two for each of its words.

        Args:
            x: *Shape:* ``(batch, length, d_model)``.
            mask: True where a key may be attended to; None for all. *Shape:* ``(batch, 1, 1, length)``, bool.

        Returns:
            *Shape:* ``(batch, d_model)``.
        """
        heads = (self.n_heads, x.shape[2] // self.n_heads)                                     # H, d_head
        q = self.query(x[:, 0]).view(-1, *heads) * heads[1] ** -0.5                            # (B, H, d_head)
        looking = torch.einsum("bhe,hed->bhd", q, self.key.weight.view(*heads, -1))            # (B, H, d_model)
        scores = looking @ x.mT + (q * self.key.bias.view(heads)).sum(dim=-1, keepdim=True)    # (B, H, L)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, 0], torch.finfo(scores.dtype).min)
        seen = scores.softmax(dim=-1) @ x                                                      # (B, H, d_model)
        mixed = torch.einsum("bhd,hed->bhe", seen, self.value.weight.view(*heads, -1)).flatten(1)
        output: Tensor = self.output(mixed + self.value.bias)                                  # (B, d_model)
        return output

    def project(
        self, x: Tensor, *, rotation: Rotation | None = None, memory: Tensor | None = None,
        cache: KeyValueCache | None = None, packing: Packing | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, as :meth:`forward` mixes them.

        Returns:
            *Shape:* ``(batch, heads, length, d_head)``, ``(batch, heads, n_keys, d_head)`` twice.
        """
        layers = (self.query, self.key, self.value)
        if memory is None:
            projected = _at_once(layers, x)                                                    # (B, L, 3 d_model)
            q, k, v = map(self._split, (packing.unpack(projected) if packing else projected).chunk(3, dim=-1))
        else:
            asked = self.query(x)                                                              # (B, L, d_model)
            q = self._split(packing.unpack(asked) if packing else asked)                       # (B, H, L, d_head)
            if cache is not None and cache.keys is not None and cache.values is not None:
                return q, cache.keys, cache.values
            k, v = map(self._split, _at_once(layers[1:], memory).chunk(2, dim=-1))             # (B, H, n_keys, d_head)
        if rotation is not None:
            q, k = rotation.turn(q), rotation.turn(k)
        if cache is not None:
            k, v = cache.extended(k, v)
        return q, k, v

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.n_heads, x.shape[2] // self.n_heads).transpose(1, 2)


def _at_once(layers: Sequence[nn.Linear], x: Tensor) -> Tensor:
    """What several linear maps make of the same input, side by side, by one product. *Shape:* ``(..., d_model)``."""
    return F.linear(x, torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers]))
