"""One layer: self-attention, in a decoder of two texts attention to the other, then feed-forward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.kernels.engine import compilable, fusible
from transformer.kernels.fused_layer import fused
from transformer.kernels.int8_encoder import Form
from transformer.kernels.native_layer import Given, compiled, compiled_first_word
from transformer.kernels.packing import Packing
from transformer.kernels.precision import low_dtype
from transformer.layers.attention import KeyValueCache, Memory, MultiHeadAttention
from transformer.layers.dropout import Dropout
from transformer.layers.feedforward import FeedForward
from transformer.layers.positions import Rotation


@dataclass
class LayerCache:
    """What a layer keeps while a text grows: of the text itself, and of the one it is made from."""

    own: KeyValueCache = field(default_factory=KeyValueCache)
    memory: KeyValueCache = field(default_factory=KeyValueCache)

    def select(self, rows: Tensor) -> None:
        """Keep these rows of the batch. *Shape:* ``(new batch,)``, int64."""
        self.own.select(rows)
        self.memory.select(rows)


class TransformerLayer(nn.Module):
    """Attention and feed-forward, each around a residual path.

    The norm stands before each branch (pre: Xiong et al. 2020) or behind each sum (post: Vaswani et al. 2017). All
    branches begin at zero (their last projection does), so that an untrained layer hands on the word vectors as they
    came (Zhang et al. 2019, "Fixup Initialization"). Not so in a layer that attends to another text, whose branches
    begin by Glorot & Bengio (2010): from zeros, a decoder is long in finding out that the other text tells it anything.

    Args:
        config: widths, heads, norm, activation; ``dropout`` is of the feed-forward block's inside and the end of each
            branch (not of the attention weights).
        cross: attend to another text as well.
    """

    def __init__(self, config: ModelConfig, *, cross: bool = False) -> None:
        super().__init__()
        self.pre = config.norm == "pre"
        self.attention_norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.attention = MultiHeadAttention(d_model=config.d_model, n_heads=config.n_heads)
        self.cross_norm = nn.LayerNorm(config.d_model, eps=config.norm_eps) if cross else None
        self.cross_attention = MultiHeadAttention(d_model=config.d_model, n_heads=config.n_heads) if cross else None
        self.feedforward_norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.feedforward = FeedForward(
            d_model=config.d_model, d_ff=config.d_ff, activation=config.activation, dropout=config.dropout
        )
        self.dropout = Dropout(config.dropout)
        for branch in (self.attention, self.cross_attention, self.feedforward):
            if branch is not None:
                (nn.init.xavier_uniform_ if cross else nn.init.zeros_)(branch.output.weight)
                nn.init.zeros_(branch.output.bias)

    def forward(
        self, x: Tensor, *, mask: Tensor | None, rotation: Rotation | None = None, memory: Memory | None = None,
        cache: LayerCache | None = None, packing: Packing | None = None,
    ) -> Tensor:
        """Let each word look at the others, then think by itself.

        Args:
            x: *Shape:* ``(batch, length, d_model)``, or ``(n_rows, d_model)`` with a packing.
            mask: which words each word sees, as :meth:`MultiHeadAttention.forward` takes it.
            rotation: of queries and keys to their places, if positions are rotary.
            memory: the other text, if there is one.
            cache: of the words before these.
            packing: of ``x``, if its padding is left out.

        Returns:
            *Shape:* that of ``x``.
        """
        if packing is not None and packing.compiled:
            return compiled(x, self.weights, self._given(x), packing)
        if rotation is None and memory is None and cache is None and self.pre and self.whole and fusible(x, packing):
            return fused(x, self.weights, n_heads=self.form.n_heads, eps=self.form.eps,
                         dropout=self._given(x).dropout, mask=mask, packing=packing)
        x = self._around(self.attention_norm, x, lambda y: self.attention(
            y, mask=mask, rotation=rotation, cache=cache and cache.own, packing=packing))
        if self.cross_attention is not None and self.cross_norm is not None and memory is not None:
            cross = self.cross_attention
            x = self._around(self.cross_norm, x, lambda y: cross(
                y, mask=memory.mask, memory=memory.hidden, cache=cache and cache.memory, packing=packing))
        return self._around(self.feedforward_norm, x, self.feedforward)

    def first_word(self, x: Tensor, mask: Tensor | None, packing: Packing | None = None) -> Tensor:
        """What :meth:`forward` makes of each text's first word, for little more than that word's work.

        Args:
            x: *Shape:* ``(batch, length, d_model)``, or ``(n_rows, d_model)`` with a packing.
            mask: as :meth:`MultiHeadAttention.first_word` takes it.
            packing: of ``x``, if its padding is left out.

        Returns:
            *Shape:* ``(batch, d_model)``.
        """
        if packing is not None and packing.compiled:
            return compiled_first_word(x, self.weights, self._given(x), packing)
        x = (packing.unpack(x) if packing else x).to(self.attention_norm.weight)               # (B, L, d_model)
        asked = self.attention_norm(x) if self.pre else x                                      # (B, L, d_model)
        first = x[:, 0] + self.dropout(self.attention.first_word(asked, mask))              # (B, d_model)
        return self._around(self.feedforward_norm, first if self.pre else self.attention_norm(first), self.feedforward)

    @property
    def whole(self) -> bool:
        """Whether there is a form of the layer that is one operation, and nobody looks on at its parts."""
        return self.feedforward.bend is F.gelu and not watched(self)

    @property
    def compilable(self) -> bool:
        """Whether compiled code may go through the layer: :func:`transformer.kernels.engine.compilable`."""
        widths = (self.attention.query.in_features, self.feedforward.inner.out_features)
        return self.whole and compilable(self.attention_norm.weight, *widths, self.attention.n_heads)

    @property
    def weights(self) -> list[Tensor]:
        """In the order in which :mod:`transformer.kernels.native_layer` takes them."""
        attention, feedforward = self.attention, self.feedforward
        parts = (self.attention_norm, self.feedforward_norm, attention.query, attention.key, attention.value,
                 attention.output, feedforward.inner, feedforward.output)
        return [weight for part in parts for weight in (part.weight, part.bias)]

    @property
    def form(self) -> Form:
        """What :mod:`transformer.kernels.native_layer` must know of the layer beside its weights."""
        return Form(self.attention.n_heads, self.attention_norm.eps, not self.pre)

    def _given(self, x: Tensor) -> Given:
        return Given(self.form, self.dropout.p if self.training else 0.0, low_dtype(x.device))

    def _around(self, norm: nn.Module, x: Tensor, branch: Callable[[Tensor], Tensor]) -> Tensor:
        summed: Tensor = x + self.dropout(branch(norm(x))) if self.pre else norm(x + self.dropout(branch(x)))
        return summed


def watched(layer: nn.Module) -> bool:
    """Whether somebody looks on at a part of the layer, which then must be gone through part by part."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks) or any(
        part is not None and watched(part) for part in layer._modules.values())
