"""Word vectors, their positions and layers over them: encoder and decoder."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.kernels.engine import padded_length
from transformer.kernels.int8_encoder import Start, encoder_in_int8
from transformer.kernels.packing import Packing
from transformer.kernels.precision import in_float32, low_dtype
from transformer.layers.attention import Memory, MultiHeadAttention
from transformer.layers.convolution import Convolutions
from transformer.layers.dropout import Dropout
from transformer.layers.embedding import TokenEmbedding
from transformer.layers.positions import RotaryPositions, make_positions
from transformer.layers.transformer_layer import LayerCache, TransformerLayer, watched
from transformer.models.head_weights import Attentions, HeadWeights
from transformer.models.outputs import Encoded, Needs

SEGMENT_SPREAD = 0.5  # near that of word vectors, so that kinds are heard from the first step; BERT's 0.02 is not


@dataclass
class Cache:
    """What a decoder keeps of the words that it has read, so that the next word costs one word's work.

    Attributes:
        layers: keys and values of each layer.
        padding_mask: True where there was a word. *Shape:* ``(batch, length)``, bool; None before the first word.
    """

    layers: list[LayerCache] = field(default_factory=list)
    padding_mask: Tensor | None = None

    def select(self, rows: Tensor) -> None:
        """Keep these rows of the batch, in this order; a row may come twice. *Shape:* ``(new batch,)``, int64."""
        if self.padding_mask is not None:
            self.padding_mask = self.padding_mask[rows]
        for layer in self.layers:
            layer.select(rows)


class Stack(HeadWeights, nn.Module):
    """Word vectors with their positions, and layers over them.

    Args:
        config: the shape of the Transformer.
        embedding: ids to vectors of width ``config.d_model``.
        causal: each word sees itself and the words before it only.
        cross: each layer attends to another text as well.
    """

    def __init__(
        self, *, config: ModelConfig, embedding: TokenEmbedding, causal: bool = False, cross: bool = False
    ) -> None:
        super().__init__()
        self.causal = causal
        self.embedding = embedding
        self.positions = make_positions(config)
        self.rotary = RotaryPositions(d_head=config.d_head) if config.positions == "rotary" else None
        self.token_types = nn.Embedding(config.token_types, config.d_model) if config.token_types else None
        if self.token_types is not None:
            nn.init.normal_(self.token_types.weight, std=0.02 if config.like else SEGMENT_SPREAD)
        eps = config.norm_eps
        self.embedding_norm = nn.LayerNorm(config.d_model, eps=eps) if config.embedding_norm else nn.Identity()
        self.dropout = Dropout(config.dropout)
        self.convolutions = None if causal or not config.convolutions else Convolutions(
            d_model=config.d_model, widths=config.convolutions, dropout=config.dropout, norm_eps=eps)
        self.layers = nn.ModuleList(TransformerLayer(config, cross=cross) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.d_model, eps=eps) if config.norm == "pre" else nn.Identity()

    def read(
        self, ids: Tensor, *, token_types: Tensor | None = None, memory: Memory | None = None,
        cache: Cache | None = None, needs: Needs = "tokens",
    ) -> Encoded:
        """Run texts through the layers.

        Args:
            ids: 0 is padding, on either side. *Shape:* ``(batch, length)``, int64.
            token_types: the kind of each word; None is kind 0 throughout. *Shape:* ``(batch, length)``, int64.
            memory: the other text.
            cache: of the words before these; it takes these in.
            needs: what of it is looked at; the rest may be left out.
        """
        alone = needs == "cls" and cache is None and memory is None and self._ends_alone()
        if cache is None and memory is None and self.rotary is None and all(map(_compilable, self.layers)):
            return self._read_rows(ids, token_types, needs=needs, alone=alone)
        length = ids.shape[1]
        if cache is None and (room := padded_length(length, ids.device) - length):
            ids = F.pad(ids, (0, room))
            token_types = None if token_types is None else F.pad(token_types, (0, room))
        tokens_mask = padding_mask(ids)                               # (B, L)
        alone = alone and bool(tokens_mask[:, 0].all())
        earlier = cache.padding_mask if cache is not None else None
        known = tokens_mask if earlier is None else torch.cat([earlier, tokens_mask], dim=1)
        n_past = known.shape[1] - ids.shape[1]
        places = token_positions(known, n_past + length)[:, n_past:]                  # (B or 1, L)
        if cache is not None:
            cache.padding_mask = known
            cache.layers = cache.layers or [LayerCache() for _ in self.layers]

        embedded, x = self._embed(ids, places, token_types)                  # (B, L, d_model)
        if self.convolutions is not None:
            x = self.convolutions(x, padding_mask=tokens_mask)           # (B, L, d_model)
        mask = attention_mask(known, n_past=n_past, causal=self.causal)
        rotation = self.rotary(places) if self.rotary is not None else None
        packing = Packing.of(tokens_mask) if cache is None else None
        x = packing.pack(x) if packing else x                             # (n_rows, d_model)
        for i, layer in enumerate(self.layers[:-1] if alone else self.layers):
            x = layer(x, mask=mask, rotation=rotation, memory=memory, packing=packing,
                      cache=cache.layers[i] if cache else None)
        if alone:
            return self._ended_alone(x, embedded[:, 0], tokens_mask, packing)
        x = self.norm(x)
        x = packing.unpack(x) if packing else x                           # (B, L, d_model)
        if length == ids.shape[1]:
            return Encoded(x, embedded, tokens_mask, token_types)
        return Encoded(x[:, :length], embedded[:, :length], tokens_mask[:, :length],
                       None if token_types is None else token_types[:, :length])

    def _read_rows(self, ids: Tensor, token_types: Tensor | None, *, needs: Needs, alone: bool) -> Encoded:
        """As :meth:`read`, of words alone from the lookup on, through compiled layers."""
        tokens_mask = padding_mask(ids)                               # (B, L)
        packing = Packing.for_compiled(tokens_mask, causal=self.causal)
        if self._in_int8():
            return self._read_in_int8(ids, packing, needs=needs)
        kinds = None if token_types is None else packing.pack(token_types)      # (n_rows,)
        embedded, x = self._embed(packing.pack(ids), packing.places, kinds)
        if self.convolutions is not None:
            x = packing.pack(self.convolutions(packing.unpack(x), padding_mask=tokens_mask))
        for layer in self.layers[:-1] if alone else self.layers:
            x = layer(x, mask=None, packing=packing)                   # (n_rows, d_model)
        if alone:
            return self._ended_alone(x, embedded[packing.starts[:-1]], tokens_mask, packing)
        return Encoded(self.norm(x), embedded, tokens_mask, token_types, packing)

    def _ends_alone(self) -> bool:
        """Whether the last layer can do for the first words alone what it does for all."""
        last = self._own_layers()[-1]
        return not self.causal and self.rotary is None and not watched(last)

    def _ended_alone(self, x: Tensor, embedded: Tensor, padding_mask: Tensor, packing: Packing | None) -> Encoded:
        """The last layer, for first words, whose vectors are given. *Shape:* of these ``(batch, d_model)``."""
        with nullcontext() if packing and packing.compiled else in_float32(x.device):  # casts would take longer
            first = self._own_layers()[-1].first_word(x, padding_mask[:, None, None, :], packing)
        first = self.norm(first)
        return Encoded.of_first_words(first, embedded)

    def _in_int8(self) -> bool:
        """Whether compiled code takes texts all the way: int8 for predictions, and nothing special at the start."""
        plain = self.token_types is None and self.convolutions is None
        return plain and not self.causal and not torch.is_grad_enabled() and (
            low_dtype(self.embedding.weight.device) == torch.int8)

    def _read_in_int8(self, ids: Tensor, packing: Packing, *, needs: Needs) -> Encoded:
        table, rows = self.embedding.rows(packing.pack(ids))
        start = Start(table, rows, self.positions.rows(packing.length), list(self.embedding_norm.parameters()))
        layers = self._own_layers()
        end = encoder_in_int8(start, packing, layers[0].form, [layer.weights for layer in layers],
                              list(self.norm.parameters()), needs=needs)
        if needs == "cls":
            return Encoded.of_first_words(end.first, table[rows[packing.starts[:-1]]])
        return Encoded(end.rows, end.embedded, packing.padding_mask, packing=packing, pooled=end.pooled)

    def _embed(self, ids: Tensor, places: Tensor, token_types: Tensor | None) -> tuple[Tensor, Tensor]:
        """Word vectors, and what goes into the layers. *Shape:* any of ids to ``(..., d_model)`` each."""
        embedded = self.embedding(ids)
        x = self.positions(embedded, places)
        if self.token_types is not None:
            x = x + self.token_types(torch.zeros_like(ids) if token_types is None else token_types)
        return embedded, self.dropout(self.embedding_norm(x))

    def attentions(self) -> list[MultiHeadAttention]:
        """Each layer's attention to the text itself."""
        return [layer.attention for layer in self._own_layers()]

    @property
    def cross(self) -> Attentions:
        """Each layer's attention to the other text; none in a stack that reads one text."""
        return Attentions([cross for layer in self._own_layers() if (cross := layer.cross_attention) is not None])

    def _own_layers(self) -> list[TransformerLayer]:
        return [layer for layer in self.layers if isinstance(layer, TransformerLayer)]


class Encoder(Stack):
    """Every word sees every word (left half of Vaswani et al. 2017, figure 1; BERT's form)."""

    def __init__(self, *, config: ModelConfig, embedding: TokenEmbedding) -> None:
        super().__init__(config=config, embedding=embedding)

    def forward(self, ids: Tensor, token_types: Tensor | None = None, *, needs: Needs = "tokens") -> Encoded:
        """Encode texts.

        Args:
            ids: 0 is padding. *Shape:* ``(batch, length)``, int64.
            token_types: as :meth:`Stack.read`.
            needs: likewise.
        """
        return self.read(ids, token_types=token_types, needs=needs)


class Decoder(Stack):
    """Every word sees itself and the words before it (GPT's form), and another text if ``cross``."""

    def __init__(self, *, config: ModelConfig, embedding: TokenEmbedding, cross: bool = False) -> None:
        super().__init__(config=config, embedding=embedding, causal=True, cross=cross)

    def forward(self, ids: Tensor, *, memory: Memory | None = None, cache: Cache | None = None) -> Encoded:
        """Read texts from left to right; as :meth:`Stack.read`."""
        return self.read(ids, memory=memory, cache=cache)


def _compilable(layer: nn.Module) -> bool:
    return isinstance(layer, TransformerLayer) and layer.compilable


def padding_mask(ids: Tensor) -> Tensor:
    """Mark real tokens with True; an empty text keeps one position. *Shape:* that of ``ids``, bool."""
    mask = ids != 0
    mask[:, 0] |= ~mask.any(dim=1)
    return mask


def token_positions(padding_mask: Tensor, length: int) -> Tensor:
    """Where each word stands in its text: words are counted, padding is not.

    Args:
        padding_mask: True where there is a word. *Shape:* ``(batch, room)``, bool.
        length: of the longest text; what is behind it is padding.

    Returns:
        int64. *Shape:* ``(batch, room)``, or ``(1, room)`` where all padding is on the right.
    """
    if bool((padding_mask[:, 1:] <= padding_mask[:, :-1]).all()):
        return torch.arange(padding_mask.shape[1], device=padding_mask.device).clamp(max=length - 1)[None]
    return (padding_mask.cumsum(dim=1) - 1).clamp(min=0)


def attention_mask(padding_mask: Tensor, *, n_past: int, causal: bool) -> Tensor:
    """Which words each word may attend to.

    Args:
        padding_mask: True where there is a word. *Shape:* ``(batch, n_past + length)``, bool.
        n_past: words that a cache holds already.
        causal: no word sees those behind it.

    Returns:
        bool. *Shape:* ``(batch, 1, 1 or length, n_past + length)``; padding that could see nothing sees itself.
    """
    keys_mask = padding_mask[:, None, None, :]                            # (B, 1, 1, K)
    if not causal:
        return keys_mask
    n_keys = padding_mask.shape[1]
    keys = torch.arange(n_keys, device=padding_mask.device)
    queries = keys[n_past:, None]                                         # (L, 1)
    return (keys_mask & (keys <= queries)) | (keys == queries)              # (B, 1, L, K)
