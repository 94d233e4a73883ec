"""What stands on top of the layers: one class a kind of output."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.kernels.native_layer import PooledViews
from transformer.layers.dropout import Dropout
from transformer.layers.embedding import TokenEmbedding
from transformer.models.outputs import Encoded, Needs


class ClassificationHead(nn.Module):
    """The output layer for one label a text, over three views of it.

    They are the mean and the maximum of the encoder's output, and the mean of the word vectors themselves: a direct
    path from the vectors to the label, which is the better part of what few labels can teach.

    Args:
        d_model: width of the encoder.
        n_classes: number of labels.
        dropout: share of the pooled values dropped in training.
    """

    needs: ClassVar[Needs] = "features"

    def __init__(self, *, d_model: int, n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(3 * d_model, n_classes)

    def forward(self, encoded: Encoded) -> Tensor:
        """Give each text a score a label. *Shape:* ``(batch, n_classes)``."""
        pooled = self.dropout(pooled_features(encoded))                                               # (B, 3 d_model)
        logits: Tensor = self.output(pooled)                                                # (B, n_classes)
        return logits


class PairHead(nn.Module):
    """The output layer for one label a pair of texts, over the views of each and how they differ.

    What goes in is ``[a, b, |a - b|, a * b]`` (Conneau et al. 2017), where ``a`` and ``b`` are the three views of
    :class:`ClassificationHead`, over the tokens of even and of odd token types; then a layer of the model's width.

    Args:
        d_model: width of the encoder.
        n_classes: number of labels.
        dropout: share of the pooled values, and of those of the layer, dropped in training.
    """

    def __init__(self, *, d_model: int, n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.compare = nn.Linear(12 * d_model, d_model)
        self.output = nn.Linear(d_model, n_classes)

    def forward(self, encoded: Encoded) -> Tensor:
        """Give each pair a score a label. *Shape:* ``(batch, n_classes)``."""
        mask, kinds = encoded.padding_mask, encoded.token_types
        second = torch.zeros_like(mask) if kinds is None else kinds % 2 == 1                # (B, L)
        a = pooled_features(encoded, mask & ~second)                                        # (B, 3 d_model)
        b = pooled_features(encoded, mask & second)                                         # (B, 3 d_model)
        pooled = self.dropout(torch.cat([a, b, (a - b).abs(), a * b], dim=-1))              # (B, 12 d_model)
        compared = self.dropout(F.gelu(self.compare(pooled)))                               # (B, d_model)
        logits: Tensor = self.output(compared)                                              # (B, n_classes)
        return logits


class ClsHead(nn.Module):
    """The output layer for one label a text, read from its first word through a tanh layer (Devlin et al. 2019).

    Args:
        d_model: width of the encoder.
        n_classes: number of labels.
        dropout: share of the values dropped in training.
    """

    needs: ClassVar[Needs] = "cls"

    def __init__(self, *, d_model: int, n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.pooler = nn.Linear(d_model, d_model)
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(d_model, n_classes)

    def forward(self, encoded: Encoded) -> Tensor:
        """Give each text a score a label. *Shape:* ``(batch, n_classes)``."""
        first = torch.tanh(self.pooler(encoded.first_word))                                 # (B, d_model)
        logits: Tensor = self.output(self.dropout(first))                                   # (B, n_classes)
        return logits


class TokenHead(nn.Module):
    """The output layer for something said of each word: a tag, or whether an answer starts and ends there.

    Args:
        d_model: width of the encoder.
        n_outputs: scores a word.
        dropout: share of the values dropped in training.
    """

    def __init__(self, *, d_model: int, n_outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(d_model, n_outputs)

    def forward(self, encoded: Encoded) -> Tensor:
        """Give each word its scores. *Shape:* ``(batch, length, n_outputs)``."""
        logits: Tensor = self.output(self.dropout(encoded.hidden))                          # (B, L, n_outputs)
        return logits


class SpanHead(nn.Module):
    """The output layer for where an answer starts and where it ends, given the question.

    Each word is looked at by itself and, through a bilinear form, beside the question (Chen et al. 2017, "Reading
    Wikipedia to Answer Open-Domain Questions"); the question is a weighted mean of its words, with weights that are
    learned.

    Args:
        d_model: width of the encoder.
        dropout: share of the values dropped in training.
    """

    def __init__(self, *, d_model: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(d_model, 2)
        self.weight = nn.Linear(d_model, 1)
        self.match = nn.Linear(d_model, 2 * d_model)

    def forward(self, encoded: Encoded) -> Tensor:
        """Compute start and end scores; even token types mark the question. *Shape:* ``(B, L, 2)``."""
        hidden = self.dropout(encoded.hidden)                                               # (B, L, d_model)
        question = encoded.padding_mask                                                     # (B, L)
        if encoded.token_types is not None:
            question = question & (encoded.token_types % 2 == 0)
        weights = self.weight(hidden)[..., 0].masked_fill(~question, float("-inf")).softmax(dim=-1)
        asked = (weights[:, None, :] @ hidden)[:, 0]                                        # (B, d_model)
        wanted = self.match(asked).unflatten(-1, (2, -1))                                   # (B, 2, d_model)
        fits = hidden @ wanted.transpose(1, 2) / hidden.shape[-1] ** 0.5                    # (B, L, 2)
        scores: Tensor = self.output(hidden) + fits
        return scores


class LMHead(nn.Module):
    """The output layer over the words of a vocabulary: the table itself, or weights of its own.

    Before a tied table stands a linear map: a layer that hands on the word it read would else say that word again, and
    the vectors themselves would have to move. The scores are divided by ``sqrt(d_model)``, so that vectors of unit
    spread begin with mild ones (T5: Raffel et al. 2020). Architectures that have neither (``model.like``) go without.

    Args:
        config: ``tied`` and ``like`` are looked at.
        n_rows: rows of the table.
        mapped: there is such a map; not so behind a layer that does the same.
    """

    def __init__(self, *, config: ModelConfig, n_rows: int, mapped: bool = True) -> None:
        super().__init__()
        d_model = config.d_model
        self.scale = 1.0 if config.like else d_model**-0.5
        self.map = nn.Linear(d_model, d_model) if mapped and config.tied and not config.like else nn.Identity()
        self.output = None if config.tied else nn.Linear(d_model, n_rows, bias=False)

    def forward(self, hidden: Tensor, embedding: TokenEmbedding) -> Tensor:
        """Score every row of the table. *Shape:* ``(..., d_model)`` to ``(..., n_rows)``."""
        if self.output is None:
            return embedding.scores(self.map(hidden) * self.scale)
        scores: Tensor = self.output(hidden)
        return scores


class MaskedLMHead(nn.Module):
    """A layer of its own before the tied output, and a bias a word (Devlin et al. 2019, as released).

    Args:
        config: widths, and as :class:`LMHead`.
        n_rows: rows of the table.
    """

    def __init__(self, *, config: ModelConfig, n_rows: int) -> None:
        super().__init__()
        self.transform = nn.Linear(config.d_model, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps=config.norm_eps)
        self.scores = LMHead(config=config, n_rows=n_rows, mapped=False)
        self.bias = nn.Parameter(torch.zeros(n_rows))

    def forward(self, hidden: Tensor, embedding: TokenEmbedding) -> Tensor:
        """Score every row of the table. *Shape:* ``(n, d_model)`` to ``(n, n_rows)``."""
        transformed = self.norm(F.gelu(self.transform(hidden)))
        scores: Tensor = self.scores(transformed, embedding) + self.bias
        return scores


def pooled_features(encoded: Encoded, mask: Tensor | None = None) -> Tensor:
    """Mean and maximum of the encoder's output, and mean of the word vectors, over all or some of the words.

    Args:
        encoded: what was said of each word.
        mask: True for those that count, None for all; where there are none, all is zero. *Shape:* ``(batch, length)``,
            bool.

    Returns:
        *Shape:* ``(batch, 3 d_model)``.
    """
    if mask is None and encoded.pooled is not None:
        return encoded.pooled
    if mask is None and encoded.packing is not None and encoded.packing.compiled:
        pooled: Tensor = PooledViews.apply(  # type: ignore[no-untyped-call]
            encoded.rows, encoded.embedded_rows, encoded.packing.starts)
        return pooled
    mask = encoded.padding_mask if mask is None else mask
    if bool(mask.all()):
        hidden = encoded.hidden
        return torch.cat([hidden.mean(dim=1), hidden.amax(dim=1), encoded.embedded.mean(dim=1)], dim=-1)
    hidden = encoded.hidden.masked_fill(~mask[..., None], float("-inf"))                    # (B, L, d_model)
    peak = hidden.amax(dim=1).masked_fill(~mask.any(dim=1, keepdim=True), 0.0)              # (B, d_model)
    return torch.cat([masked_mean(encoded.hidden, mask), peak, masked_mean(encoded.embedded, mask)], dim=-1)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the positions that hold a word.

    Args:
        x: *Shape:* ``(batch, length, width)``.
        mask: True where there is a word. *Shape:* ``(batch, length)``, bool.

    Returns:
        *Shape:* ``(batch, width)``.
    """
    weights = mask[..., None].to(x)                                                         # (B, L, 1)
    return (x * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)                       # (B, width)
