"""A checkpoint whose vocabulary is replaced: configuration, tokenizer, and the tensors with one row per token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from embeddings.errors import EmbeddingError, VectorFileError
from embeddings.formats.hf_checkpoint import (
    INPUT_EMBEDDINGS,
    find_checkpoint,
    input_embeddings,
    open_weights,
    read_tokenizer,
)
from embeddings.table.safetensors import Tensors

CONFIG, TOKENIZER_CONFIG, SPECIAL_TOKENS = "config.json", "tokenizer_config.json", "special_tokens_map.json"
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
OUTPUTS = (
    "cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "cls.predictions.bias",   # BERT
    "lm_head.weight", "lm_head.bias", "lm_head.decoder.weight", "lm_head.decoder.bias",         # RoBERTa, GPT-2, Llama
    "vocab_projector.weight", "vocab_projector.bias",                                           # DistilBERT
    "generator_lm_head.weight", "generator_lm_head.bias",                                       # ELECTRA
    "predictions.decoder.weight", "predictions.decoder.bias", "predictions.bias",               # ALBERT
    "embed_out.weight", "decoder.weight", "decoder.bias", "head.weight",                        # GPT-NeoX, ModernBERT
)
"""Suffixes of the names of output embeddings and their biases."""
COLUMNS = "final_logits_bias"  # BART


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A pretrained checkpoint; its weights are memory-mapped.

    Attributes:
        folder: its folder.
        config: content of ``config.json``.
        tokenizer: its tokenizer.
        tokenizer_config: content of ``tokenizer_config.json``; empty without one.
        roles: special tokens by role, such as ``{"cls_token": "[CLS]"}``.
        weights: the file of each tensor, by name.
        vocabulary_tensors: names of the tensors with one row per token, the input embeddings first.
        n_rows: number of their rows.
    """

    folder: Path
    config: Mapping[str, Any]
    tokenizer: Tokenizer
    tokenizer_config: Mapping[str, Any]
    roles: Mapping[str, str]
    weights: Mapping[str, Tensors]
    vocabulary_tensors: tuple[str, ...]
    n_rows: int

    def tables(self) -> list[NDArray[Any]]:
        """Return the tensors with one row per token, float32; biases as one column. *Shape:* ``(n_rows, dim)``."""
        return [self.weights[name][name].reshape(self.n_rows, -1) for name in self.vocabulary_tensors]


def open_checkpoint(location: str) -> Checkpoint:
    """Open a checkpoint.

    Args:
        location: a folder, the name of an installed package that contains a checkpoint, or a name on Hugging Face.

    Raises:
        EmbeddingError: if there is none, a file is missing or damaged, its weights are pickled or quantised, or it is
            not a model of text with a single vocabulary.
    """
    folder = find_checkpoint(location)
    if not (folder / CONFIG).is_file():
        raise VectorFileError(f"{folder}: not a checkpoint, because {CONFIG} is missing; name another folder")
    config = _read(folder / CONFIG)
    inputs = input_embeddings(folder)
    n_rows = inputs.shape[0]
    if "vocab_size" not in config:
        raise EmbeddingError(f"{folder / CONFIG}: has no vocab_size; only models of text with a single vocabulary are "
                             "supported")
    if config["vocab_size"] != n_rows:
        raise EmbeddingError(f"{folder}: vocab_size is {str(config['vocab_size'])[:20]} in {CONFIG}, but "
                             f"{inputs.name} has {n_rows} rows: they belong to different checkpoints; download both "
                             "again")
    tokenizer, weights = read_tokenizer(folder, n_rows), open_weights(folder)
    for name, tensors in weights.items():
        if name.endswith(COLUMNS) and n_rows in tensors.shape(name):
            raise EmbeddingError(f"{folder}: the tensor {name} has one column per token, which is not supported; use a "
                                 "checkpoint of another architecture")
    settings = _read(folder / TOKENIZER_CONFIG, missing={})
    return Checkpoint(folder, config, tokenizer, settings, special_roles(folder, tokenizer), weights,
                      _with_rows(weights, inputs.name, n_rows), n_rows)


def special_roles(folder: Path, tokenizer: Tokenizer) -> dict[str, str]:
    """Return the special tokens of a folder's tokenizer by role; without its configuration none.

    Raises:
        EmbeddingError: if a file is damaged.
    """
    roles: dict[str, str] = {}
    for name in (TOKENIZER_CONFIG, SPECIAL_TOKENS):
        for role, token in _read(folder / name, missing={}).items():
            content = token.get("content") if isinstance(token, dict) else token
            if role in ROLES and isinstance(content, str) and tokenizer.token_to_id(content) is not None:
                roles[role] = content
    return roles


def _with_rows(weights: Mapping[str, Tensors], inputs: str, n_rows: int) -> tuple[str, ...]:
    """Return the names of the tensors with one row per token, the input embeddings first."""
    found = [name for name, tensors in weights.items() if name != inputs and tensors.shape(name)[:1] == (n_rows,)
             and any(f".{name}".endswith(f".{suffix}") for suffix in (*INPUT_EMBEDDINGS, *OUTPUTS))]
    return (inputs, *sorted(found))


def _read(path: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    if missing is not None and not path.is_file():
        return missing
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not an object")
    except (OSError, ValueError, RecursionError) as error:
        raise VectorFileError(f"{path}: cannot be read as JSON ({error}); download it again") from error
    return content


def new_ids(origins: NDArray[np.int64]) -> dict[int, int]:
    """Return the first new row of each old one that was copied."""
    rows: dict[int, int] = {}
    for new, old in enumerate(origins.tolist()):
        if old >= 0:
            rows.setdefault(old, new)
    return rows
