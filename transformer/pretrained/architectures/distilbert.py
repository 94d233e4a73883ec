"""DistilBERT: Sanh et al. (2019), "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter"."""

from __future__ import annotations

from typing import Any, ClassVar

from transformer.pretrained.architecture import Names, Values, architecture
from transformer.pretrained.architectures.bert import Bert

LAYER = "transformer.layer.*"


@architecture
class DistilBert(Bert):
    """BERT without token types and pooler, under other names. The epsilon of the norms is fixed."""

    name = "distilbert"
    prefix = "distilbert."
    keys: ClassVar[Names] = {
        "d_model": "dim", "n_layers": "n_layers", "n_heads": "n_heads", "d_ff": "hidden_dim", "dropout": "dropout",
        "max_positions": "max_position_embeddings",
    }
    activation = "activation"
    defaults: ClassVar[Values] = {"activation": "gelu", "dropout": 0.1, "pad_token_id": 0}
    required: ClassVar[Values] = {}
    modules: ClassVar[Names] = {
        "embedding": "embeddings.word_embeddings",
        "positions": "embeddings.position_embeddings",
        "embedding_norm": "embeddings.LayerNorm",
        "layers.*.attention.query": f"{LAYER}.attention.q_lin",
        "layers.*.attention.key": f"{LAYER}.attention.k_lin",
        "layers.*.attention.value": f"{LAYER}.attention.v_lin",
        "layers.*.attention.output": f"{LAYER}.attention.out_lin",
        "layers.*.attention_norm": f"{LAYER}.sa_layer_norm",
        "layers.*.feedforward.inner": f"{LAYER}.ffn.lin1",
        "layers.*.feedforward.output": f"{LAYER}.ffn.lin2",
        "layers.*.feedforward_norm": f"{LAYER}.output_layer_norm",
    }
    heads: ClassVar[Names] = {
        "transform": "vocab_transform", "norm": "vocab_layer_norm", "scores.output": "vocab_projector",
        "": "vocab_projector",
    }
    aliases: ClassVar[Names] = {}

    def options(self, given: Values) -> dict[str, Any]:
        """There are no token types."""
        return {"token_types": 0}
