"""Interning of tokens: consecutive ids for the words of a text, by compiled code or by Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embeddings.tokenization import native
from embeddings.tokenization.word_pattern import PLAIN


class TokenInterner(Protocol):
    """A growing vocabulary: a new word gets the next id."""

    def __len__(self) -> int:
        """Return the number of words."""
        ...

    def __getitem__(self, index: int) -> str:
        """Return the word of an id."""
        ...

    def intern(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Return the ids of words. *Shape:* ``(n_words,)``, int32."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Tokenize normalised ASCII texts by the pattern ``PLAIN``. *Shape* of each result: ``(n_words,)``, int32."""
        ...


def token_interner(words: Iterable[str]) -> TokenInterner:
    """Return an interner of distinct words, with ids from 0 in this order."""
    interner: TokenInterner = native.NativeInterner() if native.available() else PythonInterner()
    interner.intern(list(words))
    return interner


class PythonInterner:
    """A token interner without compiled code."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._words: list[str] = []

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, index: int) -> str:
        return self._words[index]

    def intern(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Return the ids of words. *Shape:* ``(n_words,)``, int32."""
        for word in dict.fromkeys(words):
            if word not in self._ids:
                self._ids[word] = len(self._words)
                self._words.append(word)
        return np.array([self._ids[word] for word in words], dtype=np.int32)

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Tokenize normalised ASCII texts. *Shape* of each result: ``(n_words,)``, int32."""
        return [self.intern(PLAIN.findall(text)) for text in texts]
