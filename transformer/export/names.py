"""Names and layouts of the weights of BERT and GPT-2 in Hugging Face's ``transformers``."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]

BERT = {
    "embedding": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    "layers.*.attention.query": "encoder.layer.*.attention.self.query",
    "layers.*.attention.key": "encoder.layer.*.attention.self.key",
    "layers.*.attention.value": "encoder.layer.*.attention.self.value",
    "layers.*.attention.output": "encoder.layer.*.attention.output.dense",
    "layers.*.attention_norm": "encoder.layer.*.attention.output.LayerNorm",
    "layers.*.feedforward.inner": "encoder.layer.*.intermediate.dense",
    "layers.*.feedforward.output": "encoder.layer.*.output.dense",
    "layers.*.feedforward_norm": "encoder.layer.*.output.LayerNorm",
}
"""The modules of :class:`Encoder`, and their names in ``BertModel``; ``*`` is the layer index."""

BERT_HEADS = {
    "pooler": "bert.pooler.dense",
    "transform": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "scores.output": "cls.predictions.decoder",
    "": "cls.predictions",
}
"""The modules of the heads. The last entry is for the bias of :class:`MaskedLMHead`.

The name of ``output`` depends on the architecture.
"""

GPT2 = {
    "embedding": "wte",
    "positions": "wpe",
    "layers.*.attention_norm": "h.*.ln_1",
    "layers.*.attention.all": "h.*.attn.c_attn",
    "layers.*.attention.output": "h.*.attn.c_proj",
    "layers.*.feedforward_norm": "h.*.ln_2",
    "layers.*.feedforward.inner": "h.*.mlp.c_fc",
    "layers.*.feedforward.output": "h.*.mlp.c_proj",
    "norm": "ln_f",
}
"""The modules of :class:`Decoder`, and their names in ``GPT2Model``; ``all`` is query, key and value, concatenated."""

LAYER_INDEX = re.compile(r"(?<=\.)\d+(?=\.)")


def to_bert(tensors: Tensors) -> dict[str, Tensor]:
    """Rename an encoder's weights, or their gradients, to those of ``BertModel``."""
    return rename(tensors, BERT)


def to_gpt2(tensors: Tensors) -> dict[str, Tensor]:
    """Rename a decoder's weights, or their gradients, to those of ``GPT2Model``.

    Matrices are transposed, and query, key and value are concatenated.
    """
    fused = {name: tensor for name, tensor in tensors.items() if not re.search(r"attention\.(query|key|value)\.", name)}
    for name in tensors:
        if ".query." in name:
            parts = [tensors[name.replace(".query.", f".{part}.")] for part in ("query", "key", "value")]
            fused[name.replace(".query.", ".all.")] = torch.cat(parts)
    return {name: _transposed(name, tensor) for name, tensor in rename(fused, GPT2).items()}


def rename(tensors: Tensors, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Rename tensors by their modules.

    Args:
        tensors: tensors by name.
        names: old and new names of the modules; ``*`` is the layer index.

    Raises:
        KeyError: for a module that is not in ``names``.
    """
    return {renamed(name, names): tensor for name, tensor in tensors.items()}


def renamed(name: str, names: Mapping[str, str]) -> str:
    """Rename a weight by its module; arguments and errors as for :func:`rename`."""
    index = LAYER_INDEX.search(name)
    module = names[module_of(name)].replace("*", index[0] if index else "")
    return f"{module}.{name.rpartition('.')[2]}"


def module_of(name: str) -> str:
    """Return the name of the module of a weight, with ``*`` for the layer index."""
    return LAYER_INDEX.sub("*", name).rpartition(".")[0]


def _transposed(name: str, tensor: Tensor) -> Tensor:
    """Transpose a matrix of a GPT-2 layer, whose ``Conv1D`` stores weights as ``(in, out)``."""
    return tensor.T.contiguous() if tensor.ndim == 2 and LAYER_INDEX.search(name) else tensor
