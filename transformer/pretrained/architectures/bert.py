"""BERT: Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding"."""

from __future__ import annotations

from typing import ClassVar

from transformer.config import ModelConfig
from transformer.export.names import BERT, BERT_HEADS
from transformer.pretrained.architecture import Architecture, Names, Values, architecture


@architecture
class Bert(Architecture):
    """A post-norm encoder with learned positions and token types."""

    name = "bert"
    like = "bert"
    prefix = "bert."
    keys: ClassVar[Names] = {
        "d_model": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads",
        "d_ff": "intermediate_size", "dropout": "hidden_dropout_prob", "norm_eps": "layer_norm_eps",
        "max_positions": "max_position_embeddings", "token_types": "type_vocab_size",
    }
    defaults: ClassVar[Values] = {
        "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "layer_norm_eps": 1e-12, "type_vocab_size": 2,
        "pad_token_id": 0,
    }
    required: ClassVar[Values] = {
        "position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False,
    }
    modules: ClassVar[Names] = BERT
    heads: ClassVar[Names] = {ours: theirs.removeprefix("bert.") for ours, theirs in BERT_HEADS.items()}
    output = "scores.output.weight"
    aliases: ClassVar[Names] = {"cls.predictions.decoder.bias": "cls.predictions.bias"}

    def takes(self, name: str, shape: ModelConfig) -> bool:
        """The masked-language-model head has the activation of the layers, and ours has GELU."""
        return super().takes(name, shape) and (name.startswith("pooler.") or shape.activation == "gelu")
