"""Output layers: one class for each kind of prediction."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.layers.dropout import Dropout
from transformer.layers.embedding import TokenEmbedding
from transformer.models.outputs import Encoded, Needs, pooled_features


class ClassificationHead(nn.Module):
    """One label for each text, from the pooled features of its tokens.

    The features are the mean and the maximum of the encoder's output, and the mean of the embeddings: a direct path
    from the word vectors to the label, from which a model with few labelled texts learns most.

    Args:
        d_model: width of the encoder.
        n_classes: number of labels.
        dropout: dropout probability of the features.
    """

    needs: ClassVar[Needs] = "features"

    def __init__(self, *, d_model: int, n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(3 * d_model, n_classes)

    def forward(self, encoded: Encoded) -> Tensor:
        """Compute the logits of each text. *Shape:* ``(batch, n_classes)``."""
        logits: Tensor = self.output(self.dropout(encoded.features))
        return logits


class PairHead(nn.Module):
    """One label for each pair of texts, from the pooled features of both texts and their difference.

    The input is ``[a, b, |a - b|, a * b]`` (Conneau et al. 2017), where ``a`` and ``b`` are the features of
    :class:`ClassificationHead` over the tokens of even and of odd token types; a hidden layer follows.

    Args:
        d_model: width of the encoder.
        n_classes: number of labels.
        dropout: dropout probability of the features and of the hidden layer.
    """

    def __init__(self, *, d_model: int, n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.compare = nn.Linear(12 * d_model, d_model)
        self.output = nn.Linear(d_model, n_classes)

    def forward(self, encoded: Encoded) -> Tensor:
        """Compute the logits of each pair. *Shape:* ``(batch, n_classes)``."""
        mask, types = encoded.padding_mask, encoded.token_types
        second = torch.zeros_like(mask) if types is None else types % 2 == 1                # (B, L)
        hidden, embedded = encoded.hidden, encoded.embedded
        a, b = (pooled_features(hidden, embedded, mask & part) for part in (~second, second))  # (B, 3 d_model)
        features = self.dropout(torch.cat([a, b, (a - b).abs(), a * b], dim=-1))            # (B, 12 d_model)
        compared = self.dropout(F.gelu(self.compare(features)))                             # (B, d_model)
        logits: Tensor = self.output(compared)                                              # (B, n_classes)
        return logits


class ClsHead(nn.Module):
    """One label for each text, from the first token through a tanh layer (Devlin et al. 2019).

    Args:
        d_model: width of the encoder.
        n_classes: number of labels.
        dropout: dropout probability of the tanh layer's output.
    """

    needs: ClassVar[Needs] = "cls"

    def __init__(self, *, d_model: int, n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.pooler = nn.Linear(d_model, d_model)
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(d_model, n_classes)

    def forward(self, encoded: Encoded) -> Tensor:
        """Compute the logits of each text. *Shape:* ``(batch, n_classes)``."""
        pooled = torch.tanh(self.pooler(encoded.cls))                                       # (B, d_model)
        logits: Tensor = self.output(self.dropout(pooled))                                  # (B, n_classes)
        return logits


class TokenHead(nn.Module):
    """Scores for each token: tags, or the start and the end of an answer.

    Args:
        d_model: width of the encoder.
        n_outputs: number of scores for each token.
        dropout: dropout probability of the encoder's output.
    """

    def __init__(self, *, d_model: int, n_outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(d_model, n_outputs)

    def forward(self, encoded: Encoded) -> Tensor:
        """Compute the scores of each token. *Shape:* ``(batch, length, n_outputs)``."""
        logits: Tensor = self.output(self.dropout(encoded.hidden))                          # (B, L, n_outputs)
        return logits


class SpanHead(nn.Module):
    """Scores for the start and the end of an answer, given the question.

    Each token is scored on its own and, by a bilinear form, against the question (Chen et al. 2017, "Reading Wikipedia
    to Answer Open-Domain Questions"). The question is a mean of its tokens with learned weights.

    Args:
        d_model: width of the encoder.
        dropout: dropout probability of the encoder's output.
    """

    def __init__(self, *, d_model: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(d_model, 2)
        self.weight = nn.Linear(d_model, 1)
        self.match = nn.Linear(d_model, 2 * d_model)

    def forward(self, encoded: Encoded) -> Tensor:
        """Compute start and end scores; even token types mark the question. *Shape:* ``(batch, length, 2)``."""
        hidden = self.dropout(encoded.hidden)                                               # (B, L, d_model)
        in_question = encoded.padding_mask                                                  # (B, L)
        if encoded.token_types is not None:
            in_question = in_question & (encoded.token_types % 2 == 0)
        weights = self.weight(hidden)[..., 0].masked_fill(~in_question, float("-inf")).softmax(dim=-1)
        question = (weights[:, None, :] @ hidden)[:, 0]                                     # (B, d_model)
        targets = self.match(question).unflatten(-1, (2, -1))                               # (B, 2, d_model)
        matches = hidden @ targets.transpose(1, 2) / hidden.shape[-1] ** 0.5                # (B, L, 2)
        scores: Tensor = self.output(hidden) + matches
        return scores


class LMHead(nn.Module):
    """Scores over the vocabulary, by the embedding matrix itself (tied) or by weights of their own.

    A tied output is preceded by a linear layer: without it, a layer that is still the identity would predict its own
    input, and the embeddings themselves would have to change. Scores are divided by ``sqrt(d_model)``, so that
    embeddings of unit spread begin with moderate scores (T5: Raffel et al. 2020). Architectures with ``model.like``
    have neither.

    Args:
        config: widths, ``tied`` and ``like`` are used.
        n_rows: size of the vocabulary, special tokens included.
        mapped: add the linear layer; False if a layer before this one takes its role, from ``d_model`` to the width of
            the embedding table.
    """

    def __init__(self, *, config: ModelConfig, n_rows: int, mapped: bool = True) -> None:
        super().__init__()
        d_model, width = config.d_model, config.embedding_width
        self.scale = 1.0 if config.like else d_model**-0.5
        self.map = nn.Linear(d_model, width) if mapped and config.tied and not config.like else nn.Identity()
        self.output = None if config.tied else nn.Linear(d_model if mapped else width, n_rows, bias=False)

    def forward(self, hidden: Tensor, embedding: TokenEmbedding) -> Tensor:
        """Score every token of the vocabulary. *Shape:* ``(..., d_model)`` to ``(..., n_rows)``."""
        if self.output is None:
            return embedding.scores(self.map(hidden) * self.scale)
        scores: Tensor = self.output(hidden)
        return scores


class MaskedLMHead(nn.Module):
    """A hidden layer before the tied output, and a bias for each token (Devlin et al. 2019, as released).

    Args:
        config: widths, and as for :class:`LMHead`.
        n_rows: size of the vocabulary, special tokens included.
    """

    def __init__(self, *, config: ModelConfig, n_rows: int) -> None:
        super().__init__()
        self.transform = nn.Linear(config.d_model, config.embedding_width)
        self.norm = nn.LayerNorm(config.embedding_width, eps=config.norm_eps)
        self.scores = LMHead(config=config, n_rows=n_rows, mapped=False)
        self.bias = nn.Parameter(torch.zeros(n_rows))

    def forward(self, hidden: Tensor, embedding: TokenEmbedding) -> Tensor:
        """Score every token of the vocabulary. *Shape:* ``(n, d_model)`` to ``(n, n_rows)``."""
        transformed = self.norm(F.gelu(self.transform(hidden)))
        scores: Tensor = self.scores(transformed, embedding) + self.bias
        return scores
