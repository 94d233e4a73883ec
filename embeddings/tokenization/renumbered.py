"""The ``tokenizer.json`` of a subword tokenizer with the ids of this project, for exported models."""

from __future__ import annotations

import json
from typing import Any

from embeddings.errors import EmbeddingError
from embeddings.special_tokens import SPECIAL_TOKENS
from embeddings.tokenization.subwords import SubwordTokenizer


def renumbered_json(tokenizer: SubwordTokenizer) -> str:
    """Return the content of a ``tokenizer.json`` whose ids are the rows of the embedding matrix.

    Its special tokens have the names of this project, and those that the tokenizer lacks are added. They, and other
    special tokens, are not found in texts, and it adds none to a text: it splits texts as the tokenizer does. Only a
    Unigram model finds a special token that is written in a text, where a run has ``<unk>``.

    Args:
        tokenizer: a tokenizer whose model is WordPiece, BPE, Unigram or WordLevel.

    Raises:
        EmbeddingError: for another model.
    """
    described = json.loads(tokenizer.backend.to_str())
    model, vocabulary = described["model"], tokenizer.vocabulary()
    renamed = {theirs: ours for ours, theirs in tokenizer.special.items() if theirs}
    if isinstance(model.get("vocab"), dict):
        model["vocab"] = {token: row for row, token in enumerate(vocabulary)}
        if model.get("unk_token"):
            model["unk_token"] = renamed.get(model["unk_token"], model["unk_token"])
    elif model["type"] == "Unigram":
        _renumber_unigram(model, tokenizer)
    else:
        raise EmbeddingError(f"a tokenizer whose model is {model['type']} cannot be exported; use WordPiece, BPE or "
                             "Unigram")
    rows = {token: row for row, token in enumerate(vocabulary)}
    described["added_tokens"] = sorted(
        ({**token, "id": rows[token["content"]]} for token in described["added_tokens"]
         if not token["special"] and token["content"] not in renamed), key=lambda token: token["id"])
    return json.dumps(described | {"post_processor": None, "truncation": None, "padding": None}, ensure_ascii=False)


def _renumber_unigram(model: dict[str, Any], tokenizer: SubwordTokenizer) -> None:
    """Reorder the pieces; tokens that are not pieces have the least score, which changes no other one's."""
    scores = dict(map(tuple, model["vocab"]))
    least = min(scores.values(), default=0.0)
    unknown = None if model["unk_id"] is None else model["vocab"][model["unk_id"]][0]
    named = [tokenizer.special[token] if token in SPECIAL_TOKENS else token for token in tokenizer.vocabulary()]
    model["vocab"] = [[token, scores.get(theirs or "", least)]
                      for token, theirs in zip(tokenizer.vocabulary(), named, strict=True)]
    if unknown is not None:
        model["unk_id"] = named.index(unknown)
