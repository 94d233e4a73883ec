"""Configuration of a vecformer encoder in Hugging Face ``transformers``."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig


class VecformerConfig(PretrainedConfig):
    """The shape of an encoder, its head, and how its scores are combined with those of a linear branch.

    Args:
        vocab_size: number of rows of the embedding matrix.
        hidden_size: width of the encoder.
        num_hidden_layers: number of layers.
        num_attention_heads: number of heads of a layer.
        intermediate_size: width of the feed-forward block.
        dropout: dropout probability.
        embedding_size: width of the embeddings, positions and token types; 0 for ``hidden_size``.
        norm: ``pre`` or ``post``: position of layer normalisation.
        activation: ``gelu``, ``gelu-tanh``, ``relu`` or ``swiglu``.
        positions: ``table`` (added to the embeddings), ``rotary``, ``alibi`` or ``none``.
        max_position_embeddings: number of rows of the table.
        embedding_norm: normalise the sum of embeddings and positions.
        layer_norm_eps: epsilon of the norms.
        convolutions: widths of the convolutions before the first layer.
        type_vocab_size: number of token types; 0 for none.
        head: ``mean-max``, ``cls``, ``pair``, ``token`` or ``span``.
        ngram_buckets: number of buckets of the n-gram branch; 0 for none.
        feature_buckets: number of buckets of the branch for features of words; 0 for none.
        branch_weights: weights of the log-probabilities of the encoder and of the branch.
        shift: added to the scores of the labels.
        kwargs: options of every configuration.
    """

    model_type = "vecformer"

    def __init__(
        self, vocab_size: int = 5, hidden_size: int = 128, num_hidden_layers: int = 2, num_attention_heads: int = 4,
        intermediate_size: int = 256, dropout: float = 0.1, norm: str = "pre", activation: str = "gelu",
        positions: str = "table", max_position_embeddings: int = 512, embedding_norm: bool = False,
        layer_norm_eps: float = 1e-5, convolutions: Any = (), type_vocab_size: int = 0, head: str = "mean-max",
        ngram_buckets: int = 0, feature_buckets: int = 0, branch_weights: Any = (1.0, 1.0), shift: Any = (),
        embedding_size: int = 0, **kwargs: Any,
    ) -> None:
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        self.embedding_size = embedding_size or hidden_size
        self.num_attention_heads, self.intermediate_size = num_attention_heads, intermediate_size
        self.dropout, self.norm, self.activation, self.positions = dropout, norm, activation, positions
        self.max_position_embeddings, self.embedding_norm = max_position_embeddings, embedding_norm
        self.layer_norm_eps, self.convolutions = layer_norm_eps, list(convolutions)
        self.type_vocab_size, self.head = type_vocab_size, head
        self.ngram_buckets, self.feature_buckets = ngram_buckets, feature_buckets
        self.branch_weights, self.shift = list(branch_weights), list(shift)
        super().__init__(**kwargs)
