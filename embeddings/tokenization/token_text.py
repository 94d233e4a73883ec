"""The text of a subword token, and whether it begins a word, whatever notation its tokenizer uses."""

from __future__ import annotations

import json
from functools import cache
from typing import NamedTuple

from tokenizers import Tokenizer

SPACE = "▁"  # SentencePiece's space
UNDECODED = "\ufffd"  # in place of bytes that are not UTF-8


class TokenText(NamedTuple):
    """A token without the notation of its tokenizer.

    Attributes:
        text: its characters, without a leading space or ``##``.
        begins_word: whether it is the beginning of a word.
    """

    text: str
    begins_word: bool


class TokenNotation:
    """How a tokenizer writes its tokens: ``##ing`` (WordPiece), ``▁the`` (SentencePiece) or ``Ġthe`` (byte-level BPE).

    Args:
        tokenizer: the tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        described = json.loads(tokenizer.to_str())
        model = described["model"]
        self._continuation: str | None = None
        if model["type"] == "WordPiece" or model.get("continuing_subword_prefix"):
            self._continuation = model.get("continuing_subword_prefix") or "##"
        self._of_bytes = '"ByteLevel"' in json.dumps([described["pre_tokenizer"], described["decoder"]])

    def read(self, token: str) -> TokenText:
        """Return the text of a token; bytes that are not UTF-8 by themselves become :data:`UNDECODED`."""
        if self._continuation is not None:
            is_inside = token.startswith(self._continuation) and token != self._continuation
            return TokenText(token.removeprefix(self._continuation) if is_inside else token, not is_inside)
        if self._of_bytes:
            table = byte_characters()
            text = bytes(table[one] for one in token if one in table).decode("utf-8", "replace")
            return TokenText(text.removeprefix(" "), text.startswith(" "))
        return TokenText(token.removeprefix(SPACE), token.startswith(SPACE))


@cache
def byte_characters() -> dict[str, int]:
    """Return the byte that each character of byte-level BPE represents (Radford et al. 2019, "GPT-2").

    Printable characters of Latin-1 represent themselves, and the other bytes the characters from U+0100.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
