"""A vecformer encoder in Hugging Face ``transformers``, in plain PyTorch, without imports from vecformer."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import (
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

from pipeline.exports.standalone.configuration_vecformer import VecformerConfig

Bias = Tensor | None
Angles = tuple[Tensor, Tensor] | None


class Attention(nn.Module):
    """Scaled dot-product attention with several heads."""

    def __init__(self, config: VecformerConfig) -> None:
        super().__init__()
        self.n_heads, width = config.num_attention_heads, config.hidden_size
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor, angles: Angles) -> Tensor:
        """Attend; ``mask`` is True, or a number to add to the scores, where a key may be attended to."""
        q, k, v = (layer(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
                   for layer in (self.query, self.key, self.value))                       # (B, H, L, d_head)
        if angles is not None:
            q, k = rotated(q, *angles), rotated(k, *angles)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return output


class FeedForward(nn.Module):
    """Two linear layers with an activation in between, and a gate for SwiGLU."""

    def __init__(self, config: VecformerConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.inner, self.output = nn.Linear(width, inner), nn.Linear(inner, width)
        self.gate = nn.Linear(width, inner) if config.activation == "swiglu" else None
        self.dropout, self.activation = nn.Dropout(config.dropout), config.activation

    def forward(self, x: Tensor) -> Tensor:
        """Transform each position. *Shape:* ``(batch, length, width)``."""
        inner = self.inner(x)
        if self.gate is not None:
            activated = inner * F.silu(self.gate(x))
        elif self.activation == "relu":
            activated = F.relu(inner)
        else:
            activated = F.gelu(inner, approximate="tanh" if self.activation == "gelu-tanh" else "none")
        output: Tensor = self.output(self.dropout(activated))
        return output


class Layer(nn.Module):
    """Self-attention and the feed-forward block, with the norm before or after each."""

    def __init__(self, config: VecformerConfig) -> None:
        super().__init__()
        self.attention_norm, self.feedforward_norm = (
            nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) for _ in range(2))
        self.attention, self.feedforward = Attention(config), FeedForward(config)
        self.dropout, self.is_pre_norm = nn.Dropout(config.dropout), config.norm == "pre"

    def forward(self, x: Tensor, mask: Tensor, angles: Angles) -> Tensor:
        """Apply the layer. *Shape:* ``(batch, length, width)``."""
        if self.is_pre_norm:
            x = x + self.dropout(self.attention(self.attention_norm(x), mask, angles))
            x = x + self.dropout(self.feedforward(self.feedforward_norm(x)))
        else:
            x = self.attention_norm(x + self.dropout(self.attention(x, mask, angles)))
            x = self.feedforward_norm(x + self.dropout(self.feedforward(x)))
        return x


class Convolutions(nn.Module):
    """Convolutions of several widths over tokens, as a residual branch."""

    def __init__(self, config: VecformerConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.filters = nn.ModuleList(nn.Conv1d(width, width, size, padding=size // 2) for size in config.convolutions)
        self.output = nn.Linear(len(config.convolutions) * width, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Add the branch; padding counts as zeros. *Shape:* ``(batch, length, width)``."""
        tokens = (self.norm(x) * mask[..., None]).transpose(1, 2)
        features = torch.cat([F.gelu(conv(tokens)) for conv in self.filters], dim=1)
        output: Tensor = x + self.dropout(self.output(features.transpose(1, 2)))
        return output


class Encoder(nn.Module):
    """Token embeddings with positions, and layers over them."""

    def __init__(self, config: VecformerConfig) -> None:
        super().__init__()
        width, eps = config.embedding_size, config.layer_norm_eps
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, width)
        has_table = config.positions == "table"
        self.positions = nn.Embedding(config.max_position_embeddings, width) if has_table else None
        self.token_types = nn.Embedding(config.type_vocab_size, width) if config.type_vocab_size else None
        self.embedding_norm = nn.LayerNorm(width, eps=eps) if config.embedding_norm else nn.Identity()
        self.embedding_projection = (
            nn.Identity() if width == config.hidden_size else nn.Linear(width, config.hidden_size))
        self.dropout = nn.Dropout(config.dropout)
        self.convolutions = Convolutions(config) if config.convolutions else None
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=eps) if config.norm == "pre" else nn.Identity()

    def forward(self, ids: Tensor, types: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the output of the last layer, the embeddings, and the mask of real tokens."""
        mask = ids != 0                                                                   # (B, L)
        mask = mask | ((torch.arange(ids.shape[1], device=ids.device) == 0) & ~mask.any(dim=1, keepdim=True))
        positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)                          # (B, L)
        embedded = self.embedding(ids)                                                    # (B, L, width)
        x = embedded if self.positions is None else embedded + self.positions(positions)
        if self.token_types is not None:
            x = x + self.token_types(torch.zeros_like(ids) if types is None else types)
        x = self.embedding_projection(self.dropout(self.embedding_norm(x)))
        if self.convolutions is not None:
            x = self.convolutions(x, mask)
        allowed, angles = mask[:, None, None, :], None
        heads = self.config.num_attention_heads
        if self.config.positions == "alibi":
            distance = (positions[:, None, :, None] - positions[:, None, None, :]).abs()  # (B, 1, L, L)
            slopes = torch.tensor(alibi_slopes(heads), device=ids.device)[:, None, None]
            allowed = (-slopes * distance).to(x).masked_fill(~allowed, float("-inf"))
        elif self.config.positions == "rotary":
            angles = rotary_angles(positions, self.config.hidden_size // heads)
        for layer in self.layers:
            x = layer(x, allowed, angles)
        return self.norm(x), self.embedding_projection(embedded), mask


class Head(nn.Module):
    """Output layer: scores of texts (``mean-max``, ``cls``, ``pair``) or of tokens (``token``, ``span``)."""

    def __init__(self, config: VecformerConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.kind, self.dropout = config.head, nn.Dropout(config.dropout)
        n_outputs: Any = 2 if config.head == "span" else config.num_labels
        self.output = nn.Linear(3 * width if config.head == "mean-max" else width, n_outputs)
        if config.head == "cls":
            self.pooler = nn.Linear(width, width)
        elif config.head == "pair":
            self.compare = nn.Linear(12 * width, width)
        elif config.head == "span":
            self.weight, self.match = nn.Linear(width, 1), nn.Linear(width, 2 * width)

    def forward(self, hidden: Tensor, embedded: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Compute the scores. *Shape:* ``(batch, n_labels)`` or ``(batch, length, n_outputs)``."""
        scores: Tensor
        if self.kind == "token":
            scores = self.output(self.dropout(hidden))
        elif self.kind == "mean-max":
            scores = self.output(self.dropout(pooled(hidden, embedded, mask)))
        elif self.kind == "cls":
            first = hidden[torch.arange(len(mask), device=mask.device), mask.int().argmax(dim=1)]
            scores = self.output(self.dropout(torch.tanh(self.pooler(first))))
        elif self.kind == "pair":
            second = torch.zeros_like(mask) if types is None else types % 2 == 1
            a, b = (pooled(hidden, embedded, mask & part) for part in (~second, second))
            features = self.dropout(torch.cat([a, b, (a - b).abs(), a * b], dim=-1))
            scores = self.output(self.dropout(F.gelu(self.compare(features))))
        else:
            hidden = self.dropout(hidden)
            in_question = mask if types is None else mask & (types % 2 == 0)
            weights = self.weight(hidden)[..., 0].masked_fill(~in_question, float("-inf")).softmax(dim=-1)
            question = (weights[:, None, :] @ hidden)[:, 0]                               # (B, width)
            targets = self.match(question).unflatten(-1, (2, -1))                         # (B, 2, width)
            scores = self.output(hidden) + hidden @ targets.transpose(1, 2) / math.sqrt(hidden.shape[-1])
        return scores


class Branch(nn.Module):
    """Weights of a linear branch, whose inputs the tokenizer computes."""

    def __init__(self, n_buckets: int, n_outputs: int, *, has_idf: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_buckets, n_outputs), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(n_outputs), requires_grad=False)
        if has_idf:
            self.idf = nn.Parameter(torch.zeros(n_buckets), requires_grad=False)

    def of_texts(self, buckets: Tensor, counts: Tensor) -> Tensor:
        """Compute the log-probabilities of texts from counts of n-grams. *Shape:* ``(batch, n_labels)``."""
        tfidf = (counts > 0) * (counts.clamp(min=1).log() + 1) * self.idf[buckets]        # (B, K)
        in_characters = buckets >= len(self.idf) // 2                                     # (B, K)
        values = torch.zeros_like(tfidf)
        for family in (~in_characters, in_characters):                                    # each has length 1
            part = tfidf * family
            values = values + part / part.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-30)
        scores = (values[..., None] * self.weight[buckets]).sum(dim=1) + self.bias
        if scores.shape[-1] == 1:  # log-odds of the second of two labels
            scores = torch.cat([-scores / 2, scores / 2], dim=-1)
        return scores.log_softmax(dim=-1)

    def of_words(self, buckets: Tensor) -> Tensor:
        """Compute the log-probabilities of words from their features; -1 is none. *Shape:* ``(B, L, n_labels)``."""
        rows = self.weight[buckets.clamp(min=0)] * (buckets >= 0)[..., None]              # (B, L, K, n_labels)
        return (rows.sum(dim=2) + self.bias).log_softmax(dim=-1)


class VecformerPreTrainedModel(PreTrainedModel):
    """Base class: an encoder, a head, and a linear branch if the configuration has one."""

    config_class = VecformerConfig
    base_model_prefix = "vecformer"

    def __init__(self, config: VecformerConfig) -> None:
        super().__init__(config)
        self.encoder, self.head = Encoder(config), Head(config)
        n_labels: Any = config.num_labels
        if config.ngram_buckets:
            self.ngrams = Branch(config.ngram_buckets, 1 if n_labels == 2 else n_labels, has_idf=True)
        if config.feature_buckets:
            self.features = Branch(config.feature_buckets, n_labels, has_idf=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Weights are read from the checkpoint; new ones keep PyTorch's initialisation."""

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding layer."""
        return self.encoder.embedding

    def scores(self, ids: Tensor, types: Tensor | None, branch: Tensor | None) -> Tensor:
        """Compute the scores, combined with the log-probabilities of the branch, if there is one."""
        made: Tensor = self.head(*self.encoder(ids, types), types)
        if branch is not None:
            a, b = self.config.branch_weights
            made = a * made.log_softmax(dim=-1) + b * branch
        return made + made.new_tensor(self.config.shift) if self.config.shift else made


class VecformerForSequenceClassification(VecformerPreTrainedModel):
    """Labels or numbers of texts and of pairs of texts."""

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None,
        ngram_buckets: Tensor | None = None, ngram_counts: Tensor | None = None, labels: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Compute the logits, and the loss if there are labels; padding has the id 0."""
        branch = None
        if self.config.ngram_buckets:
            if ngram_buckets is None or ngram_counts is None:
                raise ValueError("this model needs ngram_buckets and ngram_counts, which its own tokenizer returns: "
                                 "AutoTokenizer.from_pretrained(..., trust_remote_code=True)")
            branch = self.ngrams.of_texts(ngram_buckets, ngram_counts)
        logits = self.scores(input_ids, token_type_ids, branch)
        loss = None
        if labels is not None:
            kind = self.config.problem_type
            loss = (F.mse_loss(logits[:, 0], labels.to(logits)) if kind == "regression" else
                    F.binary_cross_entropy_with_logits(logits, labels.to(logits))
                    if kind == "multi_label_classification" else F.cross_entropy(logits, labels))
        return SequenceClassifierOutput(loss=loss, logits=logits)


class VecformerForTokenClassification(VecformerPreTrainedModel):
    """Tags of words."""

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None,
        feature_buckets: Tensor | None = None, labels: Tensor | None = None, **kwargs: Any,
    ) -> Any:
        """Compute the logits of each token, and the loss if there are labels."""
        branch = None
        if self.config.feature_buckets:
            if feature_buckets is None:
                raise ValueError("this model needs feature_buckets, which its own tokenizer returns: "
                                 "AutoTokenizer.from_pretrained(..., trust_remote_code=True)")
            branch = self.features.of_words(feature_buckets)
        logits = self.scores(input_ids, token_type_ids, branch)
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return TokenClassifierOutput(loss=loss, logits=logits)


class VecformerForQuestionAnswering(VecformerPreTrainedModel):
    """The first and the last word of an answer."""

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Compute the logits of each token as the first and as the last word."""
        start, end = self.scores(input_ids, token_type_ids, None).unbind(dim=-1)
        return QuestionAnsweringModelOutput(start_logits=start, end_logits=end)


def pooled(hidden: Tensor, embedded: Tensor, mask: Tensor) -> Tensor:
    """Pool tokens: mean and maximum of the output, and mean of the embeddings. *Shape:* ``(batch, 3 width)``."""
    weights = mask[..., None].to(hidden)
    n_tokens = weights.sum(dim=1).clamp(min=1)
    peak = hidden.masked_fill(~mask[..., None], float("-inf")).amax(dim=1)
    peak = peak.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)
    return torch.cat([(hidden * weights).sum(dim=1) / n_tokens, peak, (embedded * weights).sum(dim=1) / n_tokens], -1)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs of columns ``(i, i + d_head / 2)``."""
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x) + torch.cat([-second, first], dim=-1) * sin.to(x)


def rotary_angles(positions: Tensor, d_head: int) -> tuple[Tensor, Tensor]:
    """Compute cosines and sines of the angles of positions. *Shape:* ``(batch, 1, length, d_head)``."""
    rate = 10_000.0 ** (-torch.arange(0, d_head, 2, dtype=torch.float64, device=positions.device) / d_head)
    angle = positions[:, None, :, None].double() * rate
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos().float(), angle.sin().float()


def alibi_slopes(n_heads: int) -> list[float]:
    """Compute the slope of each head (Press et al. 2022)."""
    whole: int = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * (head + 1) / whole) for head in range(whole)]
    return slopes + [2 ** (-8 * (head + 1) / (2 * whole)) for head in range(0, 2 * whole, 2)][: n_heads - whole]
