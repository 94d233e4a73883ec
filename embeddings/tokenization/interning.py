"""Numbers for words that are met while texts are read: by compiled code where there is such, else by Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embeddings.tokenization import native
from embeddings.tokenization.word_pattern import PLAIN


class TokenInterner(Protocol):
    """A vocabulary that takes in the words it is asked for; the number of a new one is the next."""

    def __len__(self) -> int:
        """How many words there are."""
        ...

    def __getitem__(self, number: int) -> str:
        """The word of a number."""
        ...

    def intern(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Number whole words. *Shape:* ``(n_words,)``, int32."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Cut ASCII texts, folded already, by the rule ``PLAIN``. *Shape:* for each ``(n_words,)``, int32."""
        ...


def token_interner(words: Iterable[str]) -> TokenInterner:
    """A vocabulary of distinct words, numbered from 0 in this order."""
    made: TokenInterner = native.NativeInterner() if native.available() else PythonInterner()
    made.intern(list(words))
    return made


class PythonInterner:
    """The same without compiled code."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._words: list[str] = []

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, number: int) -> str:
        return self._words[number]

    def intern(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Number whole words. *Shape:* ``(n_words,)``, int32."""
        for word in dict.fromkeys(words):
            if word not in self._numbers:
                self._numbers[word] = len(self._words)
                self._words.append(word)
        return np.array([self._numbers[word] for word in words], dtype=np.int32)

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Cut ASCII texts. *Shape:* for each ``(n_words,)``, int32."""
        return [self.intern(PLAIN.findall(text)) for text in texts]
