"""RoBERTa: Liu et al. (2019), "RoBERTa: A Robustly Optimized BERT Pretraining Approach"."""

from __future__ import annotations

from typing import Any, ClassVar

from transformer.config import ModelConfig
from transformer.pretrained.architecture import Architecture, Names, Values, architecture
from transformer.pretrained.architectures.bert import Bert
from transformer.pretrained.part import Part


@architecture
class Roberta(Bert):
    """BERT with one token type, whose positions are numbered from ``pad_token_id + 1``: the rows before are unused."""

    name = "roberta"
    prefix = "roberta."
    defaults: ClassVar[Values] = {
        **Bert.defaults, "layer_norm_eps": 1e-5, "type_vocab_size": 1, "pad_token_id": 1,
    }
    heads: ClassVar[Names] = {
        "pooler": "pooler.dense", "transform": "lm_head.dense", "norm": "lm_head.layer_norm",
        "scores.output": "lm_head.decoder", "": "lm_head",
    }
    aliases: ClassVar[Names] = {"lm_head.decoder.bias": "lm_head.bias"}

    def options(self, given: Values) -> dict[str, Any]:
        """Leave out the unused positions."""
        return {"max_positions": given["max_position_embeddings"] - self._unused(given)}

    def takes(self, name: str, shape: ModelConfig) -> bool:
        """The masked-language-model head has GELU, as ours."""
        return Architecture.takes(self, name, shape)

    def part(self, name: str, given: Values) -> Part:
        """Leave out the unused positions."""
        return super().part(name, given)._replace(skip=self._unused(given) if name.startswith("positions.") else 0)

    def _unused(self, given: Values) -> int:
        return int(given.get("pad_token_id", self.defaults["pad_token_id"])) + 1
