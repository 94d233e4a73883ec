"""One Transformer layer: self-attention, optional cross-attention, and the feed-forward block."""

from __future__ import annotations

from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.layers.attention import LayerCache, Memory, MultiHeadAttention
from transformer.layers.dropout import Dropout
from transformer.layers.feedforward import FeedForward
from transformer.layers.positions import ScorePositions


class TransformerLayer(nn.Module):
    """A layer with the norm before each residual branch (pre-norm: Xiong et al. 2020).

    The last projection of each branch is initialised to zero, so that an untrained layer is the identity (Zhang et al.
    2019, "Fixup Initialization"). In a layer with cross-attention it is initialised by Glorot & Bengio (2010) instead:
    from zeros, a decoder learns to use the encoded text only slowly.

    Args:
        config: widths, number of heads, activation, epsilon of the norms; ``dropout`` is applied inside the
            feed-forward block and to the output of each branch, not to the attention weights.
        cross: add cross-attention to an encoded text.
    """

    def __init__(self, config: ModelConfig, *, cross: bool = False) -> None:
        super().__init__()
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
        self, x: Tensor, *, mask: Tensor | None, positions: ScorePositions | None = None,
        memory: Memory | None = None, cache: LayerCache | None = None,
    ) -> Tensor:
        """Apply self-attention, cross-attention if there is any, and the position-wise feed-forward block.

        Args:
            x: *Shape:* ``(batch, length, d_model)``.
            mask: True where a key may be attended to. *Shape:* broadcasts to ``(batch, heads, length, n_keys)``, bool.
            positions: positions that act inside self-attention, if any.
            memory: the encoded text; required by a layer with cross-attention.
            cache: keys and values of earlier tokens, to which those of ``x`` are appended.

        Returns:
            *Shape:* ``(batch, length, d_model)``.
        """
        own, crossed = (cache.own, cache.memory) if cache else (None, None)
        x = x + self.dropout(self.attention(self.attention_norm(x), mask=mask, positions=positions, cache=own))
        if self.cross_attention is not None and self.cross_norm is not None and memory is not None:
            x = x + self.dropout(self.cross_attention(self.cross_norm(x), memory=memory, cache=crossed))
        out: Tensor = x + self.dropout(self.feedforward(self.feedforward_norm(x)))
        return out


class PostNormLayer(TransformerLayer):
    """A layer with the norm after each residual sum (post-norm: Vaswani et al. 2017; BERT)."""

    def forward(
        self, x: Tensor, *, mask: Tensor | None, positions: ScorePositions | None = None,
        memory: Memory | None = None, cache: LayerCache | None = None,
    ) -> Tensor:
        """Apply the layer; arguments as for :meth:`TransformerLayer.forward`."""
        own, crossed = (cache.own, cache.memory) if cache else (None, None)
        x = self.attention_norm(x + self.dropout(self.attention(x, mask=mask, positions=positions, cache=own)))
        if self.cross_attention is not None and self.cross_norm is not None and memory is not None:
            x = self.cross_norm(x + self.dropout(self.cross_attention(x, memory=memory, cache=crossed)))
        out: Tensor = self.feedforward_norm(x + self.dropout(self.feedforward(x)))
        return out


def make_layer(config: ModelConfig, *, cross: bool = False) -> TransformerLayer:
    """Make the layer that ``config.norm`` asks for."""
    return (TransformerLayer if config.norm == "pre" else PostNormLayer)(config, cross=cross)
