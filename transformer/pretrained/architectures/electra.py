"""ELECTRA: Clark et al. (2020), "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators"."""

from __future__ import annotations

from typing import Any, ClassVar

from transformer.config import ModelConfig
from transformer.export.names import BERT
from transformer.pretrained.architecture import Architecture, Names, Values, architecture
from transformer.pretrained.architectures.bert import Bert


@architecture
class Electra(Bert):
    """BERT with a factorised embedding: a discriminator, or a generator with its masked-language-model head."""

    name = "electra"
    prefix = "electra."
    keys: ClassVar[Names] = {**Bert.keys, "d_embedding": "embedding_size"}
    modules: ClassVar[Names] = {**BERT, "embedding_projection": "embeddings_project"}
    heads: ClassVar[Names] = {
        "transform": "generator_predictions.dense", "norm": "generator_predictions.LayerNorm",
        "scores.output": "generator_lm_head", "": "generator_lm_head",
    }
    aliases: ClassVar[Names] = {}

    def options(self, given: Values) -> dict[str, Any]:
        """Equal widths need no projection."""
        width = given["embedding_size"]
        return {"d_embedding": 0 if width == given["hidden_size"] else width}

    def takes(self, name: str, shape: ModelConfig) -> bool:
        """The head of the generator has GELU, as ours."""
        return Architecture.takes(self, name, shape)
