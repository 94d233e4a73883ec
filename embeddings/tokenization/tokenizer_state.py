"""The content of ``tokenizer.json`` with other token ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from embeddings.tokenization.token_text import nodes


def state_of(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the content of ``tokenizer.json``."""
    state: dict[str, Any] = json.loads(tokenizer.to_str())
    return state


def vocabulary_of(state: Mapping[str, Any]) -> dict[str, int]:
    """Return the ids of all tokens, added ones included."""
    vocabulary = state["model"]["vocab"]
    ids = dict(vocabulary) if isinstance(vocabulary, dict) else {name: i for i, (name, _) in enumerate(vocabulary)}
    return ids | {token["content"]: token["id"] for token in state["added_tokens"]}


def referenced(state: Mapping[str, Any]) -> set[str]:
    """Return the tokens that a post-processor adds to a text, and that with which texts are padded."""
    found = set() if state["padding"] is None else {state["padding"]["pad_token"]}
    for node in nodes(state["post_processor"]):
        found |= {node[key][0] for key in ("sep", "cls") if key in node}
        if node["type"] == "TemplateProcessing":
            found |= {name for special in node["special_tokens"].values() for name in special["tokens"]}
    return found & vocabulary_of(state).keys()


def with_ids(state: dict[str, Any], ids: Mapping[str, int]) -> dict[str, Any]:
    """Write the ids of special tokens into a post-processor and the padding; names stay as they are.

    Args:
        state: content of ``tokenizer.json``, which is changed.
        ids: ids of all tokens.

    Returns:
        The same content.
    """
    for node in nodes(state["post_processor"]):
        for key in ("sep", "cls"):  # BertProcessing, RobertaProcessing
            if key in node:
                node[key] = [node[key][0], ids[node[key][0]]]
        if node["type"] == "TemplateProcessing":
            for special in node["special_tokens"].values():
                special["ids"] = [ids[name] for name in special["tokens"]]
    if state["padding"] is not None:
        padding = state["padding"]
        if padding["pad_token"] in ids:
            padding["pad_id"] = ids[padding["pad_token"]]
        else:
            state["padding"] = None
    return state


def tokenizer_from(state: Mapping[str, Any]) -> Tokenizer:
    """Construct a tokenizer from the content of ``tokenizer.json``."""
    return Tokenizer.from_str(json.dumps(state, ensure_ascii=False))
