"""One encoder layer: attention, then feed-forward, each around a residual path."""

from __future__ import annotations

from torch import Tensor, nn

from transformer.attention import MultiHeadAttention
from transformer.feedforward import FeedForward


class EncoderLayer(nn.Module):
    """Pre-norm residual attention and feed-forward (Xiong et al. 2020, "On Layer Normalization").

    Both branches begin at zero (their last projection does), so that an untrained layer hands on the word vectors as
    they came (Zhang et al. 2019, "Fixup Initialization").

    Args:
        d_model: width of the residual stream.
        n_heads: attention heads.
        d_ff: width inside the feed-forward block.
        dropout: share of activations dropped in training, inside the feed-forward block and at the end of both branches
            (not of the attention weights).
    """

    def __init__(self, *, d_model: int, n_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = MultiHeadAttention(d_model=d_model, n_heads=n_heads)
        self.feedforward_norm = nn.LayerNorm(d_model)
        self.feedforward = FeedForward(d_model=d_model, d_ff=d_ff, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        for last in (self.attention.output, self.feedforward.output):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, *, padding_mask: Tensor) -> Tensor:
        """Let each word look at the others, then think by itself.

        Args:
            x: *Shape:* ``(batch, length, d_model)``.
            padding_mask: True where there is a word. *Shape:* ``(batch, length)``, bool.

        Returns:
            *Shape:* ``(batch, length, d_model)``.
        """
        x = x + self.dropout(self.attention(self.attention_norm(x), padding_mask=padding_mask))
        mapped: Tensor = self.dropout(self.feedforward(self.feedforward_norm(x)))
        return x + mapped
