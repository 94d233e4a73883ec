"""The continuation of a prompt that is generated in subwords."""

from __future__ import annotations

from embeddings.special_tokens import END_ID
from embeddings.tokenization.subwords import SubwordTokenizer
from embeddings.tokenization.token_text import UNDECODED


class SubwordContinuation:
    """The decoded continuation of a prompt, token by token.

    Args:
        prompt: the prompt, unchanged.
        line: its last line.
        tokenizer: decodes the tokens.
    """

    def __init__(self, prompt: str, line: str, tokenizer: SubwordTokenizer) -> None:
        self.tokenizer = tokenizer
        self.ids: list[int] = tokenizer.encode([line])[0].tolist()  # of the line
        self.written = tokenizer.decode(self.ids)
        self.strip = prompt[-1:].isspace() or not self.ids

    def add(self, number: int) -> str:
        """Add a token; return the text that is now certain: bytes that are not yet a character are held back."""
        if number == END_ID:
            text = self.finish() + "\n"
            self.ids, self.written, self.strip = [], "", True
            return text
        self.ids.append(number)
        text = self.tokenizer.decode(self.ids)
        is_certain = text.startswith(self.written) and not text.endswith(UNDECODED)
        return self._rest(text) if is_certain else ""

    def finish(self) -> str:
        """Return the text of the tokens that are held back."""
        return self._rest(self.tokenizer.decode(self.ids))

    def _rest(self, text: str) -> str:
        differing = (i for i, (one, other) in enumerate(zip(text, self.written, strict=False)) if one != other)
        new = text[next(differing, len(self.written)):]
        self.written = text
        if self.strip:
            new = new.lstrip(" ")
            self.strip = not new
        return new
