"""Writing a checkpoint with another vocabulary."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from embeddings.errors import EmbeddingError
from embeddings.formats.checkpoint_layouts import TOKENIZER
from embeddings.formats.hf_checkpoint import WEIGHTS
from embeddings.table.row_maps import Vectors
from embeddings.table.safetensors import to_stored, write_tensors
from embeddings.transplant.checkpoint import CONFIG, SPECIAL_TOKENS, TOKENIZER_CONFIG, Checkpoint, new_ids

GENERATION = "generation_config.json"
COPIED = re.compile(r"(LICEN[CS]E|NOTICE|COPYING).*|modules\.json|sentence_bert_config\.json|chat_template\.jinja|"
                    r"config_sentence_transformers\.json|preprocessor_config\.json", re.IGNORECASE)
MODULES = re.compile(r"\d+_\w+")  # folders of sentence-transformers
MODULE_FILES = (".json", ".safetensors")
KEPT = ("model_max_length", "padding_side", "truncation_side", "clean_up_tokenization_spaces", "model_input_names",
        "chat_template", "extra_special_tokens", "additional_special_tokens", "split_special_tokens")
"""Keys of ``tokenizer_config.json`` that do not depend on the vocabulary."""
COUNTED_FROM_PADDING = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "longformer",
                        "mpnet", "data2vec-text", "xmod", "ibert", "esm", "luke", "layoutlmv3")
"""Model types whose positions are counted from the id of the padding token."""


def write_checkpoint(
    folder: Path, checkpoint: Checkpoint, tokenizer: Tokenizer, tables: Sequence[Vectors], origins: NDArray[np.int64]
) -> None:
    """Write a checkpoint with another vocabulary, which ``transformers`` loads.

    Copied rows, and all tensors without a row per token, have the bytes of the checkpoint. Weights are written as one
    file, block by block.

    Args:
        folder: an empty folder.
        checkpoint: the checkpoint.
        tokenizer: the new tokenizer.
        tables: new tensors, in the order of ``checkpoint.vocabulary_tensors``. *Shape:* ``(n_new, dim)``.
        origins: for each new row the old row that is copied, or -1. *Shape:* ``(n_new,)``.

    Raises:
        EmbeddingError: if the model counts positions from the id of the padding token, and the new one differs.
    """
    ids = new_ids(origins)
    roles = {role: str(tokenizer.id_to_token(ids[old])) for role, token in checkpoint.roles.items()
             if (old := checkpoint.tokenizer.token_to_id(token)) in ids}
    _require_padding(checkpoint, ids)
    _write_json(folder / CONFIG, with_vocabulary(checkpoint.config, ids, len(origins)) | {
        f"{role}_id": tokenizer.token_to_id(token) for role, token in roles.items()
        if f"{role}_id" not in checkpoint.config and role in ("bos_token", "eos_token", "pad_token")})
    _write_weights(folder / WEIGHTS, checkpoint, tables, origins)
    (folder / TOKENIZER).write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    _write_json(folder / TOKENIZER_CONFIG, tokenizer_settings(checkpoint) | roles)
    _write_json(folder / SPECIAL_TOKENS, roles)
    if (checkpoint.folder / GENERATION).is_file():
        content = json.loads((checkpoint.folder / GENERATION).read_text(encoding="utf-8"))
        _write_json(folder / GENERATION, with_vocabulary(content, ids, None))
    _copy_others(checkpoint.folder, folder)


def with_vocabulary(config: Mapping[str, Any], ids: Mapping[int, int], n_tokens: int | None) -> dict[str, Any]:
    """Return a configuration with the new ids of special tokens, and the number of tokens.

    Args:
        config: content of ``config.json`` or ``generation_config.json``.
        ids: new id of each old one; null replaces an id without a new one.
        n_tokens: number of tokens; None for a file that does not state it.
    """
    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [ids[one] for one in value if one in ids] or None
        return ids.get(value)

    found = {key: changed(value) if key.endswith(("_token_id", "suppress_tokens")) and value is not None else value
             for key, value in config.items()}
    return found if n_tokens is None else found | {"vocab_size": n_tokens}


def tokenizer_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the content of ``tokenizer_config.json`` without the special tokens."""
    kept = {key: checkpoint.tokenizer_config[key] for key in KEPT if key in checkpoint.tokenizer_config}
    types = checkpoint.config.get("type_vocab_size")
    names = ["input_ids", *(["token_type_ids"] if isinstance(types, int) and types > 1 else []), "attention_mask"]
    return {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": names, **kept}


def _require_padding(checkpoint: Checkpoint, ids: Mapping[int, int]) -> None:
    kind = checkpoint.config.get("model_type")
    padding: Any = checkpoint.config.get("pad_token_id")
    if padding is None and "pad_token" in checkpoint.roles:
        padding = checkpoint.tokenizer.token_to_id(checkpoint.roles["pad_token"])
    if kind in COUNTED_FROM_PADDING and ids.get(padding) != padding:
        raise EmbeddingError(f"{checkpoint.folder}: a model of the type {kind} counts positions from the id of its "
                             f"padding token, {padding}, but the new tokenizer has it at {ids.get(padding)}; use a "
                             f"tokenizer with the padding token at {padding}")


def _write_weights(
    path: Path, checkpoint: Checkpoint, tables: Sequence[Vectors], origins: NDArray[np.int64]
) -> None:
    is_copied = origins >= 0
    tensors = {name: held.stored(name) for name, held in checkpoint.weights.items()}
    kinds = {name: held.kind(name) for name, held in checkpoint.weights.items()}
    for name, table in zip(checkpoint.vocabulary_tensors, tables, strict=True):
        old = tensors[name]
        new = to_stored(table.reshape(len(origins), *old.shape[1:]), kinds[name])
        new[is_copied] = old[origins[is_copied]]
        tensors[name] = new
    write_tensors(path, tensors, kinds, {"format": "pt"})


def _copy_others(source: Path, target: Path) -> None:
    """Copy licences, and the files of sentence-transformers."""
    for entry in sorted(source.iterdir()):
        if entry.is_file() and COPIED.fullmatch(entry.name):
            shutil.copyfile(entry, target / entry.name)
        elif entry.is_dir() and MODULES.fullmatch(entry.name):
            for file in sorted(entry.iterdir()):
                if file.is_file() and file.suffix in MODULE_FILES:
                    (target / entry.name).mkdir(exist_ok=True)
                    shutil.copyfile(file, target / entry.name / file.name)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
