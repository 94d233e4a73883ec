"""A tokenizer trained on text that processes text, and adds special tokens, as that of a checkpoint does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, trainers

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.specification.grammar import OPTION, build, split_options, split_top_level
from embeddings.specification.suggest import did_you_mean
from embeddings.table.listing import listed
from embeddings.tokenization.token_text import SPACE, Notation, notation_of
from embeddings.tokenization.tokenizer_state import referenced, state_of, tokenizer_from, vocabulary_of, with_ids

KINDS = {"wordpiece": "WordPiece", "bpe": "BPE", "unigram": "Unigram"}
UNKNOWN = "[UNK]"  # for a model that needs one, if the checkpoint has none
DIGITS = 6  # after the point, of the scores of Unigram
STEP = 0.0001
SPACE_NODES = ("Prepend", "Replace")  # normalisers by which some BPE models mark spaces


@dataclass(frozen=True)
class NewTokenizer:
    """A tokenizer to train.

    Attributes:
        kind: ``wordpiece``, ``bpe`` or ``unigram``.
        size: greatest number of tokens, special ones included.
    """

    kind: str
    size: Annotated[int, Field(ge=1, le=10_000_000, description="greatest number of tokens, such as 8000")] = 8_000


def parse_new_tokenizer(text: str) -> NewTokenizer:
    """Parse ``wordpiece``, or ``bpe,size=16000``.

    Raises:
        SpecificationError: if the kind, an option or a value is wrong; the message suggests the most similar one.
    """
    kind, *pairs = split_top_level(text, OPTION)
    if kind not in KINDS:
        raise SpecificationError(f"no kind of tokenizer is called {kind!r}, and there is no such file."
                                 f"{did_you_mean(kind, KINDS)} There are: {', '.join(KINDS)}")
    made: NewTokenizer = build(f"tokenizer {kind!r}", NewTokenizer, split_options(pairs), positional="kind",
                               parsed={"kind": kind})
    return made


def kind_of(tokenizer: Tokenizer) -> str | None:
    """Return the kind of a tokenizer; None for one that cannot be trained here."""
    model = state_of(tokenizer)["model"]["type"]
    return next((kind for kind, name in KINDS.items() if name == model), None)


def train_like(
    like: Tokenizer, texts: Iterable[str], wanted: NewTokenizer, roles: Mapping[str, str] | None = None
) -> Tokenizer:
    """Train a tokenizer with the normaliser, special tokens and post-processor of another one.

    Pre-tokenizer and decoder are also those of the other one if both are of the same kind, and otherwise the usual ones
    of the kind: words and punctuation (``wordpiece``), bytes (``bpe``), words after a mark (``unigram``). The special
    tokens get the first ids, in the order of the other tokenizer.

    Args:
        like: the tokenizer of the checkpoint.
        texts: training texts; iterated more than once.
        wanted: kind and size.
        roles: special tokens of the checkpoint by role, such as ``{"unk_token": "[UNK]"}``.

    Raises:
        EmbeddingError: if the size does not exceed the number of special tokens, or the texts contain no token.
    """
    state = state_of(like)
    roles = roles or {}
    unknown = _unknown(state, roles.get("unk_token"), wanted.kind)
    special = special_tokens(like, {*referenced(state), *roles.values(), *filter(None, [unknown])})
    is_same = state["model"]["type"] == KINDS[wanted.kind]
    tokenizer = tokenizer_from({**state, "model": _model(state["model"], wanted.kind, unknown),
                                "added_tokens": [], "post_processor": None, "padding": None, "truncation": None,
                                "normalizer": state["normalizer"] if is_same else _unmarked(state["normalizer"])})
    notation = notation_of(like) if is_same else _usual(tokenizer, wanted.kind)
    in_bytes = [f"<0x{byte:02X}>" for byte in range(256)] if state_of(tokenizer)["model"].get("byte_fallback") else []
    n_first = len(special) + len(in_bytes)
    if wanted.size <= n_first:
        raise EmbeddingError(f"size={wanted.size}: there are {n_first} special tokens and bytes "
                             f"({listed(token.content for token in special)}); use a greater size")
    without_words = state_of(tokenizer)["pre_tokenizer"] is None and notation.kind == "metaspace"
    if without_words:  # the normaliser marks spaces; tokens of several words would be trained
        tokenizer.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")
    alphabet = continuations(tokenizer, texts, notation.mark) if wanted.kind == "wordpiece" else []
    tokenizer.train_from_iterator(texts, _trainer(wanted, [*special, *in_bytes, *alphabet], unknown, notation))
    if tokenizer.get_vocab_size() <= n_first:
        raise EmbeddingError("the text contains no token; name a file with text")
    trained = state_of(tokenizer)
    trained["added_tokens"] = [token for token in trained["added_tokens"] if token["id"] < len(special)]
    if without_words:
        trained["pre_tokenizer"] = None
    if wanted.kind == "unigram":
        trained["model"]["vocab"] = ordered(trained["model"]["vocab"], n_first)
    trained |= {"post_processor": state["post_processor"], "padding": state["padding"],
                "truncation": state["truncation"]}
    return tokenizer_from(with_ids(trained, vocabulary_of(trained)))


def special_tokens(tokenizer: Tokenizer, others: Iterable[str]) -> list[AddedToken]:
    """Return the special tokens of a tokenizer and others, in the order of their ids; new ones last."""
    found = {number: token for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    named = {token.content for token in found.values()}
    added = [AddedToken(name, special=True, normalized=False) for name in sorted({*others} - named)]
    after = tokenizer.get_vocab_size()

    def place(token: AddedToken) -> int:
        number = tokenizer.token_to_id(token.content)
        return after if number is None else number

    return sorted([*found.values(), *added], key=place)


def continuations(tokenizer: Tokenizer, texts: Iterable[str], mark: str) -> list[str]:
    """Return the characters within words with the mark of a continuation, sorted.

    The library numbers them in the order of a hash table, which differs between processes, and breaks ties of merges by
    these numbers.
    """
    found: set[str] = set()
    for text in texts:
        normalized = text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
        words = [(normalized, None)] if tokenizer.pre_tokenizer is None else (
            tokenizer.pre_tokenizer.pre_tokenize_str(normalized))
        found.update(*(word[1:] for word, _ in words))
    return sorted(mark + character for character in found)


def ordered(pieces: list[list[Any]], n_special: int) -> list[list[Any]]:
    """Sort the pieces of Unigram by their scores, which are rounded: the last digits differ between processes.

    The library gives characters that are no longer pieces scores in steps of 0.0001 above the least one, in the order
    of a hash table; here they get them in their own order.
    """
    scores = {piece: round(score, DIGITS) for piece, score in pieces[n_special:]}
    limit = min(scores.values(), default=0.0) + STEP * len(scores)
    added = [piece for piece, score in scores.items() if len(piece) == 1 and score <= limit]
    scores |= zip(sorted(added), sorted((scores[piece] for piece in added), reverse=True), strict=True)
    rest = sorted(scores.items(), key=lambda one: (-one[1], one[0]))
    return [*pieces[:n_special], *map(list, rest)]


def _unknown(state: dict[str, Any], given: str | None, kind: str) -> str | None:
    """Return the unknown token that a model of this kind needs."""
    model = state["model"]
    if model["type"] == "Unigram":
        number = model["unk_id"]
        found = None if number is None else model["vocab"][number][0]
    else:
        found = model.get("unk_token")
    return found if found is not None or kind == "bpe" else given or UNKNOWN


def _model(old: dict[str, Any], kind: str, unknown: str | None) -> dict[str, Any]:
    """Return an untrained model with the options of the old one, if both are of the same kind."""
    options = {key: value for key, value in old.items() if key not in ("vocab", "merges", "unk_id")}
    if old["type"] != KINDS[kind]:
        options = {"type": KINDS[kind]}
        if kind == "wordpiece":
            options |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    if kind == "unigram":
        return {**options, "unk_id": 0, "vocab": [[unknown, 0.0]]}
    options["unk_token"] = unknown
    return {**options, "vocab": {}, **({"merges": []} if kind == "bpe" else {})}


def _unmarked(normalizer: Any) -> Any:
    """Return a normaliser without the parts that mark spaces for another kind of model."""
    if not isinstance(normalizer, dict):
        return normalizer
    if normalizer["type"] == "Sequence":
        parts = [part for part in map(_unmarked, normalizer["normalizers"]) if part is not None]
        return {"type": "Sequence", "normalizers": parts} if parts else None
    marks = normalizer["type"] in SPACE_NODES and SPACE in (normalizer.get("prepend"), normalizer.get("content"))
    return None if marks else normalizer


def _usual(tokenizer: Tokenizer, kind: str) -> Notation:
    """Set the usual pre-tokenizer and decoder of a kind."""
    made: dict[str, tuple[Callable[[], Any], Callable[[], Any], Notation]] = {
        "wordpiece": (pre_tokenizers.BertPreTokenizer, decoders.WordPiece, Notation("wordpiece", "##")),
        "bpe": (lambda: pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel, Notation("bytes", "Ġ")),
        "unigram": (pre_tokenizers.Metaspace, decoders.Metaspace, Notation("metaspace", SPACE)),
    }
    pre_tokenizer, decoder, notation = made[kind]
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer(), decoder()
    return notation


def _trainer(wanted: NewTokenizer, special: list[AddedToken | str], unknown: str | None, notation: Notation) -> Any:
    options: dict[str, Any] = {"vocab_size": wanted.size, "special_tokens": special, "show_progress": False}
    if wanted.kind == "wordpiece":
        return trainers.WordPieceTrainer(continuing_subword_prefix=notation.mark, **options)
    alphabet = pre_tokenizers.ByteLevel.alphabet() if notation.kind == "bytes" else []
    if wanted.kind == "bpe":
        return trainers.BpeTrainer(initial_alphabet=alphabet, **options)
    return trainers.UnigramTrainer(initial_alphabet=alphabet, unk_token=unknown, **options)
