"""A stack of Transformer layers over token embeddings: encoder and decoder."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.kernels.engine import engine_for
from transformer.layers.attention import LayerCache, Memory, MultiHeadAttention
from transformer.layers.convolution import Convolutions
from transformer.layers.dropout import Dropout
from transformer.layers.embedding import TokenEmbedding
from transformer.layers.positions import make_positions, make_score_positions
from transformer.layers.transformer_layer import TransformerLayer, make_layer
from transformer.models.outputs import Encoded, Needs

TOKEN_TYPE_STD = 0.5  # near the standard deviation of word vectors; BERT's 0.02 is negligible next to them


@dataclass
class Cache:
    """What a decoder keeps of earlier tokens, so that each new token is computed alone.

    Attributes:
        layers: keys and values of each layer; filled by the first call.
        padding_mask: True for real tokens. *Shape:* ``(batch, length)``, bool; None before the first call.
    """

    layers: list[LayerCache] = field(default_factory=list)
    padding_mask: Tensor | None = None

    def append(self, padding_mask: Tensor) -> Tensor:
        """Append the mask of new tokens, and return that of all. *Shape:* ``(batch, length)``, bool."""
        if self.padding_mask is not None:
            padding_mask = torch.cat([self.padding_mask, padding_mask], dim=1)
        self.padding_mask = padding_mask
        return padding_mask

    def select(self, rows: Tensor) -> None:
        """Keep these rows of the batch, in this order; rows may repeat. *Shape:* ``(new batch,)``, int64."""
        if self.padding_mask is not None:
            self.padding_mask = self.padding_mask[rows]
        for layer in self.layers:
            layer.select(rows)


class Stack(nn.Module):
    """Token embeddings with positions, and layers over them.

    The forward pass below is the definition of the model in plain PyTorch. Where an engine of
    :mod:`transformer.kernels` computes the same faster, it is used instead.

    Args:
        config: the shape of the Transformer.
        embedding: token ids to vectors of width ``config.embedding_width``.
        causal: a token cannot attend to later tokens.
        cross: every layer has cross-attention to an encoded text.
    """

    def __init__(
        self, *, config: ModelConfig, embedding: TokenEmbedding, causal: bool = False, cross: bool = False
    ) -> None:
        super().__init__()
        self.causal = causal
        self.embedding = embedding
        width = config.embedding_width
        self.positions = make_positions(config)
        self.score_positions = make_score_positions(config)
        self.token_types = nn.Embedding(config.token_types, width) if config.token_types else None
        if self.token_types is not None:
            nn.init.normal_(self.token_types.weight, std=0.02 if config.like else TOKEN_TYPE_STD)
        eps = config.norm_eps
        self.embedding_norm = nn.LayerNorm(width, eps=eps) if config.embedding_norm else nn.Identity()
        self.embedding_projection = nn.Linear(width, config.d_model) if width != config.d_model else nn.Identity()
        self.dropout = Dropout(config.dropout)
        self.convolutions = None if causal or not config.convolutions else Convolutions(
            d_model=config.d_model, widths=config.convolutions, dropout=config.dropout, norm_eps=eps)
        self.layers = nn.ModuleList(make_layer(config, cross=cross) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.d_model, eps=eps) if config.norm == "pre" else nn.Identity()

    def forward(
        self, ids: Tensor, token_types: Tensor | None = None, *, memory: Memory | None = None,
        cache: Cache | None = None, needs: Needs = "tokens",
    ) -> Encoded:
        """Run token ids through the layers.

        Args:
            ids: 0 is padding, on either side. *Shape:* ``(batch, length)``, int64.
            token_types: token type of each token; None for 0 throughout. *Shape:* as ``ids``.
            memory: the encoded text that cross-attention attends to.
            cache: keys and values of earlier tokens, to which those of ``ids`` are appended.
            needs: what the caller reads of the result; an engine may leave out the rest.
        """
        if engine := engine_for(self, ids, memory=memory, cache=cache, needs=needs):
            return engine.run(self, ids, token_types, needs)
        mask = padding_mask(ids)                                                # (B, L)
        keys_mask = mask if cache is None else cache.append(mask)               # (B, K): with the cached tokens
        keys = token_positions(keys_mask)                                       # (B or 1, K)
        positions = keys[:, -ids.shape[1]:]                                     # (B or 1, L)
        embedded = self.embedding(ids)                                          # (B, L, d_embedding)
        x = self.embed(embedded, positions, token_types)                        # (B, L, d_model)
        if self.convolutions is not None:
            x = self.convolutions(x, padding_mask=mask)                         # (B, L, d_model)
        allowed = attention_mask(keys_mask, n_queries=ids.shape[1], causal=self.causal)
        inside = None if self.score_positions is None else self.score_positions(positions, keys)
        for layer, layer_cache in zip(self.layers, layer_caches(cache, len(self.layers)), strict=True):
            x = layer(x, mask=allowed, positions=inside, memory=memory, cache=layer_cache)
        return Encoded(self.norm(x), self.project(embedded), mask, token_types)

    def embed(self, embedded: Tensor, positions: Tensor, token_types: Tensor | None) -> Tensor:
        """Compute the input of the first layer: add positions and token types, normalise, drop out and project.

        A factorised embedding is projected after dropout, as in ELECTRA (Clark et al. 2020, as released).

        Args:
            embedded: *Shape:* ``(..., d_embedding)``.
            positions: *Shape:* broadcasts to ``(...)``, int64.
            token_types: None for 0 throughout. *Shape:* ``(...)``, int64.

        Returns:
            *Shape:* ``(..., d_model)``.
        """
        x = self.positions(embedded, positions)
        if self.token_types is not None:
            zeros = torch.zeros(embedded.shape[:-1], dtype=torch.long, device=embedded.device)
            x = x + self.token_types(zeros if token_types is None else token_types)
        return self.project(self.dropout(self.embedding_norm(x)))

    def project(self, x: Tensor) -> Tensor:
        """Project embeddings to the width of the layers. *Shape:* ``(..., d_embedding)`` to ``(..., d_model)``."""
        projected: Tensor = self.embedding_projection(x).to(x)  # float32 under autocast, as embeddings are
        return projected

    def attentions(self) -> list[MultiHeadAttention]:
        """Return the self-attention of each layer."""
        return [layer.attention for layer in self.transformer_layers()]

    def cross_attentions(self) -> list[MultiHeadAttention]:
        """Return the cross-attention of each layer; an empty list if there is none."""
        found = (layer.cross_attention for layer in self.transformer_layers())
        return [cross for cross in found if cross is not None]

    def transformer_layers(self) -> list[TransformerLayer]:
        """Return the layers with their type."""
        return [layer for layer in self.layers if isinstance(layer, TransformerLayer)]


class Encoder(Stack):
    """Every token attends to every token (left half of Vaswani et al. 2017, figure 1; BERT).

    Args:
        config: the shape of the Transformer.
        embedding: token ids to vectors of width ``config.embedding_width``.
    """

    def __init__(self, *, config: ModelConfig, embedding: TokenEmbedding) -> None:
        super().__init__(config=config, embedding=embedding)


class Decoder(Stack):
    """Every token attends to itself and to earlier tokens (GPT), and with ``cross`` to an encoded text as well.

    Args:
        config: the shape of the Transformer.
        embedding: token ids to vectors of width ``config.embedding_width``.
        cross: add cross-attention to every layer.
    """

    def __init__(self, *, config: ModelConfig, embedding: TokenEmbedding, cross: bool = False) -> None:
        super().__init__(config=config, embedding=embedding, causal=True, cross=cross)


def padding_mask(ids: Tensor) -> Tensor:
    """Mark real tokens with True; an empty text keeps one position. *Shape:* that of ``ids``, bool."""
    mask = ids != 0
    mask[:, 0] |= ~mask.any(dim=1)
    return mask


def token_positions(mask: Tensor) -> Tensor:
    """Number the tokens of each text from 0; padding is not counted.

    Args:
        mask: True for real tokens. *Shape:* ``(batch, length)``, bool.

    Returns:
        int64. *Shape:* ``(batch, length)``, or ``(1, length)`` if all padding is on the right.
    """
    if bool((mask[:, 1:] <= mask[:, :-1]).all()):
        return torch.arange(mask.shape[1], device=mask.device)[None]
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def attention_mask(mask: Tensor, *, n_queries: int, causal: bool) -> Tensor:
    """Compute which keys each query may attend to.

    Args:
        mask: True for real tokens, cached ones included. *Shape:* ``(batch, n_keys)``, bool.
        n_queries: number of new tokens, the last of the keys.
        causal: a token cannot attend to later tokens.

    Returns:
        bool. *Shape:* ``(batch, 1, 1 or n_queries, n_keys)``. A causal query may always attend to itself, so that no
        row of the scores is empty.
    """
    keys_mask = mask[:, None, None, :]                                          # (B, 1, 1, K)
    if not causal:
        return keys_mask
    keys = torch.arange(mask.shape[1], device=mask.device)
    queries = keys[-n_queries:, None]                                           # (L, 1)
    return (keys_mask & (keys <= queries)) | (keys == queries)                  # (B, 1, L, K)


def layer_caches(cache: Cache | None, n_layers: int) -> list[LayerCache] | list[None]:
    """Return the cache of each layer, made on the first call; None for each layer without a cache."""
    if cache is None:
        return [None] * n_layers
    cache.layers = cache.layers or [LayerCache() for _ in range(n_layers)]
    return cache.layers
