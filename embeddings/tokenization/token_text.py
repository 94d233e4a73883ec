"""Tokens in a form that does not depend on the tokenizer: text, and whether the token starts a word."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from tokenizers import Tokenizer

SPACE = "▁"  # SentencePiece's mark of a space
UNDECODED = "\ufffd"  # in a decoded text, in place of bytes that are not UTF-8
ABSENT = "\0row "  # before the number of a row without a token, in its name


class Token(NamedTuple):
    """A token of a vocabulary.

    Attributes:
        name: the token as the vocabulary lists it, such as ``##ing``, ``Ġthe`` or ``▁the``; distinct.
        text: its text without marks; None for part of a character, or a row without a token.
        begins_word: whether it is the beginning of a word.
        is_special: whether it is a special token, such as ``[CLS]``.
    """

    name: str
    text: str | None
    begins_word: bool = True
    is_special: bool = False


@dataclass(frozen=True)
class Notation:
    """How a vocabulary marks the start, or the continuation, of a word.

    Attributes:
        kind: ``wordpiece`` (``##ing``), ``bytes`` (``Ġthe``, byte-level BPE), ``metaspace`` (``▁the``) or ``plain``.
        mark: the mark.
    """

    kind: Literal["wordpiece", "bytes", "metaspace", "plain"]
    mark: str

    def token(self, name: str) -> Token:
        """Return the token of a name in the vocabulary."""
        if self.kind == "plain":
            return Token(name, name)
        if self.kind == "wordpiece":
            continues = name.startswith(self.mark) and name != self.mark
            return Token(name, name.removeprefix(self.mark) if continues else name, not continues)
        if self.kind == "metaspace":
            text = name.removeprefix(self.mark).replace(self.mark, " ")
            is_byte = len(name) == 6 and name.startswith("<0x") and name.endswith(">")
            return Token(name, None if is_byte else text, name.startswith(self.mark))
        try:
            text = bytes(map(byte_characters().__getitem__, name)).decode()
        except (KeyError, UnicodeDecodeError):
            return Token(name, None, begins_word=False)
        return Token(name, text.removeprefix(" "), text.startswith(" "))

    def name(self, text: str, *, begins_word: bool) -> str:
        """Return the name that a token of this text would have in the vocabulary."""
        if self.kind == "wordpiece":
            return text if begins_word else self.mark + text
        if self.kind == "metaspace":
            return self.mark * begins_word + text.replace(" ", self.mark)
        if self.kind == "bytes":
            characters = {byte: character for character, byte in byte_characters().items()}
            return "".join(characters[byte] for byte in (" " * begins_word + text).encode(errors="replace"))
        return text


def notation_of(tokenizer: Tokenizer) -> Notation:
    """Detect how a tokenizer marks words."""
    state = json.loads(tokenizer.to_str())
    model = state["model"]
    around = {key: state[key] for key in ("normalizer", "pre_tokenizer", "decoder")}
    if model["type"] == "WordPiece" or model.get("continuing_subword_prefix"):
        return Notation("wordpiece", model.get("continuing_subword_prefix") or "##")
    types = {node["type"] for key in ("pre_tokenizer", "decoder") for node in nodes(around[key])}
    if "ByteLevel" in types:
        return Notation("bytes", "Ġ")
    if "Metaspace" in types or SPACE in json.dumps(around, ensure_ascii=False) or model["type"] == "Unigram":
        return Notation("metaspace", SPACE)
    return Notation("plain", "")


def tokens_of(tokenizer: Tokenizer, n_rows: int | None = None) -> tuple[Token, ...]:
    """Return the tokens of a tokenizer in the order of their ids.

    Args:
        tokenizer: the tokenizer.
        n_rows: number of rows of the embedding matrix, which may be larger than the vocabulary; by default the
            greatest id plus one. Ids without a token get a token without text.
    """
    notation, by_id = notation_of(tokenizer), {number: name for name, number in tokenizer.get_vocab().items()}
    added = tokenizer.get_added_tokens_decoder()
    tokens = []
    for number in range(1 + max(by_id, default=-1) if n_rows is None else n_rows):
        if number in added:
            one = added[number]
            tokens.append(Token(one.content, one.content, is_special=one.special))
        elif number in by_id:
            tokens.append(notation.token(by_id[number]))
        else:
            tokens.append(Token(f"{ABSENT}{number}", None))
    return tuple(tokens)


def words_as_tokens(words: Iterable[str], special: Iterable[str] = ()) -> tuple[Token, ...]:
    """Return the tokens of a vocabulary of words, the special tokens first."""
    return (*(Token(name, name, is_special=True) for name in special), *(Token(word, word) for word in words))


def nodes(state: Any) -> list[dict[str, Any]]:
    """Return a normaliser, pre-tokenizer, post-processor or decoder of ``tokenizer.json`` and all of its parts."""
    if isinstance(state, list):
        return [node for part in state for node in nodes(part)]
    if not isinstance(state, dict):
        return []
    within = [node for value in state.values() for node in nodes(value)]
    return [state, *within] if isinstance(state.get("type"), str) else within


@cache
def byte_characters() -> dict[str, int]:
    """Return the byte that each character of byte-level BPE represents (Radford et al. 2019, "GPT-2").

    Printable characters of Latin-1 represent themselves, and the other bytes the characters from U+0100.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
