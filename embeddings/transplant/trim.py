"""Removal of the tokens that a text never uses from a tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from embeddings.errors import EmbeddingError
from embeddings.tokenization.tokenizer_state import referenced, state_of, tokenizer_from, vocabulary_of, with_ids
from embeddings.transplant.vocabulary import Ids

TEXTS_PER_BATCH = 1000


def trimmed(
    tokenizer: Tokenizer, texts: Callable[[], Iterable[str]], special: Iterable[str] = ()
) -> tuple[Tokenizer, Ids]:
    """Remove the tokens that texts never use.

    Special tokens, single characters and bytes are kept, so that any text can still be encoded, and the tokens and
    merges from which BPE builds those that are used. The order of the tokens is kept. The texts are encoded with both
    tokenizers.

    Args:
        tokenizer: the tokenizer.
        texts: returns the texts; called twice.
        special: further special tokens, which the file of the tokenizer does not list as such.

    Returns:
        The new tokenizer, and the earlier id of each of its tokens, int64. *Shape:* ``(n_kept,)``.

    Raises:
        EmbeddingError: if there is no text, the kind of the tokenizer is not supported, or the new tokenizer encodes a
            text differently.
    """
    state = state_of(tokenizer)
    used = {number for ids in encoded(tokenizer, texts()) for number in ids}
    vocabulary = vocabulary_of(state)
    always = {token["content"] for token in state["added_tokens"]} | referenced(state) | vocabulary.keys() & {*special}
    if used <= {vocabulary[name] for name in always}:
        raise EmbeddingError("the text contains no token; name a file with text")
    names = {number: name for name, number in vocabulary.items()}
    kept = {names[number] for number in used} | always
    kept |= _needed(state["model"], kept)
    kept_ids = sorted({vocabulary[name] for name in kept})
    made = tokenizer_from(_reduced(state, {old: new for new, old in enumerate(kept_ids)}, kept))
    origins = np.array(kept_ids, np.int64)
    for before, after in zip(encoded(tokenizer, texts()), encoded(made, texts()), strict=True):
        if not np.array_equal(origins[after], before):
            raise EmbeddingError(f"the tokenizer without the unused tokens splits {made.decode(after)[:60]!r} "
                                 "differently, so that the outputs would change; this vocabulary cannot be trimmed")
    return made, origins


def encoded(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[list[int]]:
    """Yield the ids of each text with its special tokens, without truncation and padding."""
    whole = Tokenizer.from_str(tokenizer.to_str())
    whole.no_truncation()
    whole.no_padding()
    remaining = iter(texts)
    while batch := list(islice(remaining, TEXTS_PER_BATCH)):
        yield from (encoding.ids for encoding in whole.encode_batch_fast(batch))


def _needed(model: dict[str, Any], kept: set[str]) -> set[str]:
    """Return the tokens that a model needs besides those that are used."""
    kind = model["type"]
    if kind == "WordPiece":
        prefix = model["continuing_subword_prefix"]
        return {name for name in model["vocab"] if len(name) == 1 or len(name.removeprefix(prefix)) == 1}
    if kind == "WordLevel":
        return {model["unk_token"]} & set(model["vocab"])
    if kind == "Unigram":
        pieces = model["vocab"]
        least = min(pieces, key=lambda piece: float(piece[1]))[0]  # the score of unknown characters follows from it
        unknown = set() if model["unk_id"] is None else {pieces[model["unk_id"]][0]}
        return {name for name, _ in pieces if len(name) == 1 or _is_byte(name)} | {least} | unknown
    if model.get("continuing_subword_prefix"):
        raise EmbeddingError("BPE with a mark of continuations cannot be trimmed; use another checkpoint")
    suffix = model.get("end_of_word_suffix") or ""
    needed = {name for name in model["vocab"] if len(name) == 1 or _is_byte(name)
              or (suffix and len(name.removesuffix(suffix)) == 1)} | {model["unk_token"] or ""} & set(model["vocab"])
    ranks = {tuple(pair): rank for rank, pair in enumerate(_pairs(model))}
    for name in kept:
        for left, right in _merges_of(name, ranks, suffix):
            needed |= {left, right, left + right}
    return needed


def _merges_of(name: str, ranks: dict[tuple[str, ...], int], suffix: str) -> list[tuple[str, str]]:
    """Return the merges by which BPE builds a token from its characters."""
    text = name.removesuffix(suffix) if suffix else name
    parts = list(text)
    if parts and suffix and name.endswith(suffix):
        parts[-1] += suffix
    done: list[tuple[str, str]] = []
    while len(parts) > 1:
        rank, at = min((ranks.get(pair, len(ranks)), i) for i, pair in enumerate(pairwise(parts)))
        if rank == len(ranks):
            return []  # an added token, or one that is found without merges
        done.append((parts[at], parts[at + 1]))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return done


def _pairs(model: dict[str, Any]) -> Sequence[Sequence[str]]:
    return [merge if isinstance(merge, list) else merge.split(" ", 1) for merge in model["merges"]]


def _is_byte(name: str) -> bool:
    return len(name) == 6 and name.startswith("<0x") and name.endswith(">")


def _reduced(state: dict[str, Any], new_ids: dict[int, int], kept: set[str]) -> dict[str, Any]:
    """Return the content of ``tokenizer.json`` with the kept tokens and their new ids."""
    model = state["model"]
    if model["type"] == "Unigram":
        if model["unk_id"] is not None:
            model["unk_id"] = new_ids[model["unk_id"]]
        model["vocab"] = [piece for number, piece in enumerate(model["vocab"]) if number in new_ids]
    else:
        model["vocab"] = {name: new_ids[number] for name, number in sorted(model["vocab"].items(), key=lambda x: x[1])
                          if name in kept}
    if model["type"] == "BPE":
        model["merges"] = [pair for pair in map(list, _pairs(model))
                           if {*pair, "".join(pair)} <= model["vocab"].keys()]
    state["added_tokens"] = [{**token, "id": new_ids[token["id"]]} for token in state["added_tokens"]]
    return with_ids(state, vocabulary_of(state))
