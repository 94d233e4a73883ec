"""The architectures: an encoder with a head, a language model, and an encoder with a decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.layers.attention import Memory, MultiHeadAttention
from transformer.layers.embedding import TokenEmbedding
from transformer.models.head_weights import HeadWeights
from transformer.models.heads import LMHead, MaskedLMHead
from transformer.models.stack import Cache, Decoder, Encoder


class TransformerModel(HeadWeights, nn.Module):
    """An encoder and the head of a task.

    Args:
        encoder: token ids to hidden states.
        head: hidden states to logits.
    """

    def __init__(self, *, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, ids: Tensor, token_types: Tensor | None = None) -> Tensor:
        """Compute logits. *Shape:* ``(batch, length)`` int64 to the head's, such as ``(batch, n_classes)``."""
        encoded = self.encoder(ids, token_types, needs=getattr(self.head, "needs", "tokens"))
        with torch.autocast(ids.device.type, enabled=False):  # bfloat16 is too coarse for the gradient of the scores
            logits: Tensor = self.head(encoded)
        return logits

    def attentions(self) -> list[MultiHeadAttention]:
        """Return the self-attention of each layer of the encoder."""
        return self.encoder.attentions()


class MaskedLanguageModel(HeadWeights, nn.Module):
    """An encoder that predicts masked tokens (Devlin et al. 2019).

    Args:
        encoder: the encoder; its embedding matrix is the output layer as well.
        config: the shape of the encoder.
    """

    def __init__(self, *, encoder: Encoder, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = MaskedLMHead(config=config, n_rows=len(encoder.embedding.weight))

    def forward(self, ids: Tensor, chosen: Tensor, token_types: Tensor | None = None) -> Tensor:
        """Score every token of the vocabulary at the chosen positions only.

        Args:
            ids: *Shape:* ``(batch, length)``, int64.
            chosen: True at the positions to predict. *Shape:* ``(batch, length)``, bool.
            token_types: as for :meth:`Stack.forward`.

        Returns:
            *Shape:* ``(n_chosen, 5 + n_words)``.
        """
        scores: Tensor = self.head(self.encoder(ids, token_types).hidden[chosen], self.encoder.embedding)
        return scores

    @property
    def output_table(self) -> TokenEmbedding | None:
        """The embedding that is the output layer as well, if there is one."""
        return self.encoder.embedding if self.head.scores.output is None else None

    def attentions(self) -> list[MultiHeadAttention]:
        """Return the self-attention of each layer of the encoder."""
        return self.encoder.attentions()


class LanguageModel(HeadWeights, nn.Module):
    """A decoder that predicts the next token (Radford et al. 2018).

    Args:
        decoder: the decoder.
        config: the shape of the decoder; with ``tied``, its embedding matrix is the output layer as well.
    """

    def __init__(self, *, decoder: Decoder, config: ModelConfig) -> None:
        super().__init__()
        self.decoder = decoder
        self.output = LMHead(config=config, n_rows=len(decoder.embedding.weight))

    def forward(self, ids: Tensor, *, cache: Cache | None = None) -> Tensor:
        """Score every token of the vocabulary as the next one, at each position.

        Args:
            ids: *Shape:* ``(batch, length)``, int64.
            cache: keys and values of earlier tokens, to which those of ``ids`` are appended.

        Returns:
            *Shape:* ``(batch, length, 5 + n_words)``.
        """
        scores: Tensor = self.output(self.decoder(ids, cache=cache).hidden, self.decoder.embedding)
        return scores

    @property
    def output_table(self) -> TokenEmbedding | None:
        """The embedding that is the output layer as well, if there is one."""
        return self.decoder.embedding if self.output.output is None else None

    def attentions(self) -> list[MultiHeadAttention]:
        """Return the self-attention of each layer of the decoder."""
        return self.decoder.attentions()


class EncoderDecoder(nn.Module):
    """An encoder of the source text and a decoder of the target text (Vaswani et al. 2017, figure 1).

    Args:
        encoder: of the source text.
        decoder: of the target text, with cross-attention.
        config: the shape of both; with ``tied``, the target's embedding matrix is the output layer as well.
    """

    def __init__(self, *, encoder: Encoder, decoder: Decoder, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.output = LMHead(config=config, n_rows=len(decoder.embedding.weight))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score every token of the vocabulary as the next one, at each position of the target.

        Args:
            source: *Shape:* ``(batch, source length)``, int64.
            target: *Shape:* ``(batch, target length)``, int64.

        Returns:
            *Shape:* ``(batch, target length, 5 + n_words)``.
        """
        return self.decode(target, memory=self.encoder(source).memory)

    def decode(self, target: Tensor, *, memory: Memory, cache: Cache | None = None) -> Tensor:
        """Compute :meth:`forward` from an encoded source, ``encoder(source).memory``."""
        scores: Tensor = self.output(self.decoder(target, memory=memory, cache=cache).hidden, self.decoder.embedding)
        return scores

    @property
    def output_table(self) -> TokenEmbedding | None:
        """The embedding that is the output layer as well, if there is one."""
        return self.decoder.embedding if self.output.output is None else None
