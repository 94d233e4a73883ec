"""What Hugging Face's ``transformers`` calls the weights of BERT and GPT-2, and how it lays them out."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

Named = Mapping[str, Tensor]

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
"""The modules of :class:`Encoder`, and what ``BertModel`` calls them; ``*`` is the layer's number."""

BERT_HEADS = {
    "pooler": "bert.pooler.dense",
    "transform": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "scores.output": "cls.predictions.decoder",
    "": "cls.predictions",
}
"""Likewise for the heads; the last is of the masked words' bias, and ``output`` has a name in each architecture."""

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
"""Likewise for :class:`Decoder` and ``GPT2Model``; ``all`` are query, key and value, one below the other."""

LAYER = re.compile(r"(?<=\.)\d+(?=\.)")


def to_bert(named: Named) -> dict[str, Tensor]:
    """Rename an encoder's weights, or their gradients, to those of ``BertModel``."""
    return renamed(named, BERT)


def from_bert(named: Named) -> dict[str, Tensor]:
    """Rename the weights of ``BertModel`` to an encoder's."""
    return renamed(named, {theirs: ours for ours, theirs in BERT.items()})


def to_gpt2(named: Named) -> dict[str, Tensor]:
    """Rename a decoder's weights, or their gradients, to those of ``GPT2Model``.

    Its matrices are transposed, and those of query, key and value are one.
    """
    fused = {name: tensor for name, tensor in named.items() if not re.search(r"attention\.(query|key|value)\.", name)}
    for name in named:
        if ".query." in name:
            parts = [named[name.replace(".query.", f".{part}.")] for part in ("query", "key", "value")]
            fused[name.replace(".query.", ".all.")] = torch.cat(parts)
    return {name: _turned(name, tensor) for name, tensor in renamed(fused, GPT2).items()}


def from_gpt2(named: Named) -> dict[str, Tensor]:
    """Rename the weights of ``GPT2Model`` to a decoder's."""
    turned = {name: _turned(name, tensor) for name, tensor in named.items()}
    split: dict[str, Tensor] = {}
    for name, tensor in renamed(turned, {theirs: ours for ours, theirs in GPT2.items()}).items():
        if ".all." in name:
            parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
            split |= {name.replace(".all.", f".{part}."): weight for part, weight in parts}
        else:
            split[name] = tensor
    return split


def renamed(named: Named, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Give each tensor the name that its module has there; ``*`` in the names stands for a layer's number.

    Raises:
        KeyError: for a module that has no name there.
    """
    made = {}
    for name, tensor in named.items():
        number = LAYER.search(name)
        theirs = names[module_of(name)].replace("*", number[0] if number else "")
        made[f"{theirs}.{name.rpartition('.')[2]}"] = tensor
    return made


def module_of(name: str) -> str:
    """The module that a weight belongs to, with ``*`` for the layer's number."""
    return LAYER.sub("*", name).rpartition(".")[0]


def _turned(name: str, tensor: Tensor) -> Tensor:
    """Transpose a matrix of GPT-2's layers, which it writes the other way round ("Conv1D")."""
    return tensor.T.contiguous() if tensor.ndim == 2 and LAYER.search(name) else tensor
