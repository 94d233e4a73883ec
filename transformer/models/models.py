"""The architecture's three forms, put together from their bricks: encoder, decoder, and both."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.kernels.precision import in_float32
from transformer.layers.attention import Memory, MultiHeadAttention
from transformer.layers.embedding import TokenEmbedding
from transformer.models.head_weights import HeadWeights
from transformer.models.heads import LMHead, MaskedLMHead
from transformer.models.stack import Cache, Decoder, Encoder


class TransformerModel(HeadWeights, nn.Module):
    """An encoder and a task's head.

    Args:
        encoder: ids to what it says of each word.
        head: that to logits.
    """

    def __init__(self, *, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, ids: Tensor, token_types: Tensor | None = None) -> Tensor:
        """Score texts. *Shape:* ``(batch, length)`` int64 to the head's, such as ``(batch, n_classes)``."""
        encoded = self.encoder(ids, token_types, needs=getattr(self.head, "needs", "tokens"))
        with in_float32(ids.device):  # a score of eight bits is too coarse for its gradient
            logits: Tensor = self.head(encoded)
        return logits

    def attentions(self) -> list[MultiHeadAttention]:
        """Those of the encoder."""
        return self.encoder.attentions()

    @property
    def stack(self) -> Encoder:
        """The stack of layers."""
        return self.encoder

    def logits(self, ids: Tensor, token_types: Tensor | None = None) -> Tensor:
        """Compute all scores of texts; see :meth:`forward`."""
        logits: Tensor = self(ids, token_types)
        return logits


class MaskedLanguageModel(HeadWeights, nn.Module):
    """An encoder that says which word stands behind a mask (Devlin et al. 2019).

    Args:
        encoder: the encoder; its table is also the output layer.
        config: its shape.
    """

    def __init__(self, *, encoder: Encoder, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = MaskedLMHead(config=config, n_rows=len(encoder.embedding.weight))

    def forward(self, ids: Tensor, chosen: Tensor, token_types: Tensor | None = None) -> Tensor:
        """Score every word of the vocabulary at the chosen places only.

        Args:
            ids: *Shape:* ``(batch, length)``, int64.
            chosen: True at those places. *Shape:* ``(batch, length)``, bool.
            token_types: as :meth:`Stack.read`.

        Returns:
            *Shape:* ``(n_chosen, 5 + n_words)``.
        """
        scores: Tensor = self.head(self.encoder(ids, token_types).hidden[chosen], self.encoder.embedding)
        return scores

    @property
    def output_table(self) -> TokenEmbedding | None:
        """The table that is the output layer, too."""
        return self.encoder.embedding if self.head.scores.output is None else None

    def attentions(self) -> list[MultiHeadAttention]:
        """Those of the encoder."""
        return self.encoder.attentions()

    @property
    def stack(self) -> Encoder:
        """The stack of layers."""
        return self.encoder

    def logits(self, ids: Tensor, token_types: Tensor | None = None) -> Tensor:
        """Score the vocabulary at every position. *Shape:* ``(batch, length, 5 + n_words)``."""
        logits: Tensor = self(ids, torch.ones_like(ids, dtype=torch.bool), token_types)        # (B * L, n_rows)
        return logits.view(*ids.shape, -1)


class LanguageModel(HeadWeights, nn.Module):
    """A decoder that says which word comes next (Radford et al. 2018).

    Args:
        decoder: the decoder.
        config: its shape; ``tied`` makes its table the output layer.
    """

    def __init__(self, *, decoder: Decoder, config: ModelConfig) -> None:
        super().__init__()
        self.decoder = decoder
        self.output = LMHead(config=config, n_rows=len(decoder.embedding.weight))

    def forward(self, ids: Tensor, *, cache: Cache | None = None) -> Tensor:
        """Score every word as the one after each place.

        Args:
            ids: *Shape:* ``(batch, length)``, int64.
            cache: of the words before these; it takes these in.

        Returns:
            *Shape:* ``(batch, length, 5 + n_words)``.
        """
        scores: Tensor = self.output(self.decoder(ids, cache=cache).hidden, self.decoder.embedding)
        return scores

    @property
    def output_table(self) -> TokenEmbedding | None:
        """The table that is the output layer, too."""
        return self.decoder.embedding if self.output.output is None else None

    def attentions(self) -> list[MultiHeadAttention]:
        """Those of the decoder."""
        return self.decoder.attentions()

    @property
    def stack(self) -> Decoder:
        """The stack of layers."""
        return self.decoder

    def logits(self, ids: Tensor, token_types: Tensor | None = None) -> Tensor:
        """Score the vocabulary as the next token of every position. *Shape:* ``(batch, length, 5 + n_words)``."""
        logits: Tensor = self(ids)
        return logits


class EncoderDecoder(nn.Module):
    """An encoder of one text and a decoder of another that looks at it (Vaswani et al. 2017, figure 1).

    Args:
        encoder: of the source text.
        decoder: of the target text, with cross-attention.
        config: their shape; ``tied`` makes the target's table the output layer.
    """

    def __init__(self, *, encoder: Encoder, decoder: Decoder, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.output = LMHead(config=config, n_rows=len(decoder.embedding.weight))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score every word as the one after each place of the target.

        Args:
            source: *Shape:* ``(batch, source length)``, int64.
            target: *Shape:* ``(batch, target length)``, int64.

        Returns:
            *Shape:* ``(batch, target length, 5 + n_words)``.
        """
        return self.decode(target, memory=self.encoder(source).memory)

    def decode(self, target: Tensor, *, memory: Memory, cache: Cache | None = None) -> Tensor:
        """As :meth:`forward`, with the source encoded already (``encoder(source).memory``)."""
        scores: Tensor = self.output(self.decoder(target, memory=memory, cache=cache).hidden, self.decoder.embedding)
        return scores

    @property
    def output_table(self) -> TokenEmbedding | None:
        """The table that is the output layer, too."""
        return self.decoder.embedding if self.output.output is None else None
