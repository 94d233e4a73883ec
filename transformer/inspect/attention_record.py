"""What every attention head computes for a text: queries, keys, values, attention pattern and output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from transformer.layers.attention import MultiHeadAttention
from transformer.models.head_weights import Attentions
from transformer.models.stack import Stack


@dataclass(frozen=True)
class AttentionRecord:
    """What one attention layer computed in one forward pass.

    Attributes:
        block: ``encoder``, ``decoder``, or ``cross`` for a decoder's cross-attention.
        layer: index from 0.
        query: rotated, if positions are rotary. *Shape:* ``(batch, heads, length, d_head)``.
        key: likewise. *Shape:* ``(batch, heads, n_keys, d_head)``.
        value: *Shape:* ``(batch, heads, n_keys, d_head)``.
        pattern: attention weights; rows sum to 1. *Shape:* ``(batch, heads, length, n_keys)``, float32.
        output: output of the attention layer. *Shape:* ``(batch, length, d_model)``.
    """

    block: str
    layer: int
    query: Tensor
    key: Tensor
    value: Tensor
    pattern: Tensor
    output: Tensor


def blocks(model: nn.Module) -> dict[str, Attentions]:
    """Return the attention layers of a model by block: ``encoder``, ``decoder`` and ``cross``, where there are any."""
    found: dict[str, Attentions] = {}
    for stack in (module for module in model.modules() if isinstance(module, Stack)):
        found["decoder" if stack.causal else "encoder"] = Attentions(stack.attentions())
        if stack.cross_attentions():
            found["cross"] = Attentions(stack.cross_attentions())
    return found


@contextmanager
def record_attention(model: nn.Module) -> Iterator[list[AttentionRecord]]:
    """Record what every head computes while the block runs.

    Yields:
        A list to which each attention layer appends an entry when it is called.
    """
    records: list[AttentionRecord] = []
    hooks = [
        attention.register_forward_hook(_recorder(records, block, number), with_kwargs=True)
        for block, heads in blocks(model).items() for number, attention in enumerate(heads.attentions())
    ]
    try:
        yield records
    finally:
        for hook in hooks:
            hook.remove()


def _recorder(records: list[AttentionRecord], block: str, layer: int) -> Callable[..., None]:
    @torch.no_grad()
    def record(attention: MultiHeadAttention, args: tuple[Tensor], kwargs: dict[str, Any], output: Tensor) -> None:
        positions, memory, cache = (kwargs.get(name) for name in ("positions", "memory", "cache"))
        q, k, v = attention.project(*args, positions=positions, memory=memory)
        if cache is not None:  # the keys of earlier tokens as well
            k, v = cache.keys, cache.values
        mask = memory.mask if memory is not None else kwargs.get("mask")
        pattern = attention_pattern(q, k, mask=mask, bias=positions.bias if positions else None)
        records.append(AttentionRecord(block, layer, q, k, v, pattern, output))

    return record


def attention_pattern(q: Tensor, k: Tensor, *, mask: Tensor | None, bias: Tensor | None = None) -> Tensor:
    """Compute attention weights, which :func:`transformer.layers.attention.attend` does not return; rows sum to 1.

    Args:
        q: *Shape:* ``(batch, heads, length, d_head)``.
        k: *Shape:* ``(batch, heads, n_keys, d_head)``.
        mask: True where a key may be attended to; None for everywhere. *Shape:* broadcasts to the scores, bool.
        bias: added to the scores. *Shape:* broadcasts to the scores.

    Returns:
        float32. *Shape:* ``(batch, heads, length, n_keys)``.
    """
    scores = q @ k.mT / q.shape[-1] ** 0.5                                                  # (B, H, L, K)
    if bias is not None:
        scores = scores + bias.to(scores)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    pattern: Tensor = scores.float().softmax(dim=-1)
    return pattern
