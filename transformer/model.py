"""The encoder, put together from its bricks, and the whole model: ids in, one row of scores out."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.embedding import WordEmbedding
from transformer.layers import EncoderLayer
from transformer.positions import SinusoidalPositions


class Encoded(NamedTuple):
    """What the encoder says of each word.

    Attributes:
        hidden: the last layer's output, normalised. *Shape:* ``(batch, length, d_model)``.
        embedded: the word vectors that it started from. *Shape:* ``(batch, length, d_model)``.
        padding_mask: True where there is a word. *Shape:* ``(batch, length)``, bool.
    """

    hidden: Tensor
    embedded: Tensor
    padding_mask: Tensor


class Encoder(nn.Module):
    """A stack of encoder layers over word vectors with their positions (left half of Vaswani et al. 2017, figure 1).

    Args:
        config: the shape of the Transformer.
        embedding: ids to vectors of width ``config.d_model``.
    """

    def __init__(self, *, config: ModelConfig, embedding: WordEmbedding) -> None:
        super().__init__()
        self.embedding = embedding
        self.positions = SinusoidalPositions(d_model=config.d_model, scale=config.position_scale)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(d_model=config.d_model, n_heads=config.n_heads, d_ff=config.d_ff, dropout=config.dropout)
            for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, ids: Tensor) -> Encoded:
        """Encode texts.

        Args:
            ids: 0 is padding. *Shape:* ``(batch, length)``, int64.
        """
        padding_mask = ids != 0                                   # (B, L)
        padding_mask[:, 0] = True                                 # a text without words still attends to something
        embedded = self.embedding(ids)                            # (B, L, d_model)
        x = self.dropout(self.positions(embedded))                # (B, L, d_model)
        for layer in self.layers:
            x = layer(x, padding_mask=padding_mask)               # (B, L, d_model)
        return Encoded(self.norm(x), embedded, padding_mask)


class TransformerModel(nn.Module):
    """An encoder and a task's head.

    Args:
        encoder: ids to what it says of each word.
        head: that to logits.
    """

    def __init__(self, *, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, ids: Tensor) -> Tensor:
        """Score texts. *Shape:* ``(batch, length)`` int64 to the head's, such as ``(batch, n_classes)``."""
        logits: Tensor = self.head(self.encoder(ids))
        return logits
