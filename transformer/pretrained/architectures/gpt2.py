"""GPT-2: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners"."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from transformer.export.names import GPT2, renamed
from transformer.pretrained.architecture import Architecture, Names, Values, architecture
from transformer.pretrained.part import Part

QKV = re.compile(r"(?<=\.attention\.)(query|key|value)(?=\.)")
ORDER = ("query", "key", "value")  # as they are concatenated


@architecture
class Gpt2(Architecture):
    """A pre-norm decoder whose matrices are transposed, with query, key and value in one of them (``Conv1D``)."""

    name = "gpt2"
    like = "gpt2"
    is_decoder = True
    prefix = "transformer."
    keys: ClassVar[Names] = {
        "d_model": "n_embd", "n_layers": "n_layer", "n_heads": "n_head", "dropout": "resid_pdrop",
        "norm_eps": "layer_norm_epsilon", "max_positions": "n_positions",
    }
    activation = "activation_function"
    defaults: ClassVar[Values] = {
        "activation_function": "gelu_new", "resid_pdrop": 0.1, "layer_norm_epsilon": 1e-5,
    }
    required: ClassVar[Values] = {
        "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False,
    }
    modules: ClassVar[Names] = GPT2
    heads: ClassVar[Names] = {"output": "lm_head"}
    output = "output.weight"

    def options(self, given: Values) -> dict[str, Any]:
        """The feed-forward block is four times as wide as the model by default; there are no token types."""
        return {"d_ff": given.get("n_inner") or 4 * given["n_embd"], "token_types": 0}

    def part(self, name: str, given: Values) -> Part:
        """Transpose a matrix of a layer, and split query, key and value."""
        which = QKV.search(name)
        found = renamed(QKV.sub("all", name), self.modules)
        is_matrix = name.startswith("layers.") and name.endswith(".weight") and "_norm." not in name
        return Part(found, chunk=(ORDER.index(which[0]), 3) if which else (0, 1), is_transposed=is_matrix)
