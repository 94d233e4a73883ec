"""What a tokenizer of a run implements: :class:`TextTokenizer`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.table.atomic_files import write_atomically
from embeddings.tokenization.interning import TokenInterner
from embeddings.tokenization.word_pattern import WordRule

Text = str | Sequence[str]
"""A text, or words that are already split."""


class Span(NamedTuple):
    """A token and its position in the original text, in characters: ``text[start:end]``."""

    word: str
    start: int
    end: int


class WordTokens(NamedTuple):
    """The tokens of a sentence that is split into words.

    Attributes:
        ids: their ids, int32. *Shape:* ``(n_tokens,)``.
        words: the number of the word to which each belongs, int32, ascending. *Shape:* ``(n_tokens,)``.
    """

    ids: NDArray[np.int32]
    words: NDArray[np.int32]

    def first(self) -> NDArray[np.int64]:
        """Return the position of the first token of each word. *Shape:* ``(n_words,)``."""
        return np.flatnonzero(np.diff(self.words, prepend=-1))


class TextTokenizer(ABC):
    """Splits text into tokens, and maps tokens to ids.

    The ids 0 to 4 are padding, the unknown token, the start and end of a text, and the mask; text cannot produce them,
    except for the unknown token.

    Attributes:
        units: the kind of its tokens: ``words`` or ``subwords``.
        counts: count of each token of the vocabulary in the text; None if unknown.
    """

    units: ClassVar[str]
    counts: dict[str, int] | None

    @abstractmethod
    def __len__(self) -> int:
        """Return the size of the vocabulary, special tokens included."""

    @property
    def rule(self) -> WordRule | None:
        """The definition of a word; None if there is none that other programs can follow."""
        return None

    @abstractmethod
    def words(self, text: Text) -> list[str]:
        """Split a text into tokens, including those outside the vocabulary."""

    @abstractmethod
    def intern(self, texts: Sequence[Text], interner: TokenInterner) -> list[NDArray[np.int32]]:
        """Tokenize texts as :meth:`words`, and intern their tokens: new tokens get new ids.

        Returns:
            For each text the ids of its tokens, int32. *Shape:* ``(n_tokens,)``.
        """

    @abstractmethod
    def spans(self, text: str) -> list[Span]:
        """Split a text into tokens with their positions in the original text, in characters (code points)."""

    @abstractmethod
    def fold(self, word: str) -> str:
        """Normalise a word: case, accents and digits, according to the tokenizer."""

    @abstractmethod
    def can_produce(self, word: str) -> bool:
        """Return whether some text yields exactly this token."""

    def producible(self, words: Iterable[str]) -> list[bool]:
        """Return for each word whether some text yields the token that it is when it is normalised."""
        return [self.can_produce(self.fold(word)) for word in words]

    @abstractmethod
    def encode(self, texts: Sequence[Text], *, max_length: int | None = None) -> list[NDArray[np.int32]]:
        """Encode texts; tokens outside the vocabulary get the id of ``<unk>``.

        Args:
            texts: strings, or sequences of words.
            max_length: maximum number of tokens; longer texts are truncated.

        Returns:
            For each text the ids of its tokens, int32. *Shape:* ``(n_tokens,)``.
        """

    def encode_tokens(self, texts: Sequence[Sequence[str]]) -> list[NDArray[np.int32]]:
        """Return the ids of tokens of :meth:`words` or :meth:`spans`. *Shape* of each: ``(n_tokens,)``, int32."""
        return self.encode(texts)

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> list[WordTokens]:
        """Encode sentences that are already split into words; each word has at least one token."""
        return [WordTokens(ids, np.arange(len(ids), dtype=np.int32)) for ids in self.encode(sentences)]

    def begins_words(self, ids: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return whether each token of a text is the beginning of a word. *Shape:* ``(n_tokens,)``."""
        return np.ones(len(ids), dtype=np.bool_)

    def word_tokenizer(self) -> TextTokenizer:
        """Return a tokenizer that splits text into words with the same case and accents."""
        return self

    @abstractmethod
    def cache_encodings(self, encodings: Mapping[str | tuple[str, ...], NDArray[np.int32]]) -> None:
        """Set the ids of texts that were encoded before, for :meth:`encode`. *Shape* of each: ``(n_tokens,)``."""

    @abstractmethod
    def vocabulary(self) -> tuple[str, ...]:
        """Return all tokens in the order of their ids, the special tokens first."""

    @abstractmethod
    def with_vocabulary(self, words: Iterable[str]) -> TextTokenizer:
        """Return a tokenizer with the same options and another vocabulary (a mapping also supplies the counts)."""

    @abstractmethod
    def to_json(self) -> str:
        """Return the content of ``tokenizer.json``."""

    def count(self, texts: Iterable[Text]) -> Counter[str]:
        """Count the tokens of the texts."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(self.words(text))
        return counts

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json`` in the format of the ``tokenizers`` library, which can read it.

        Options and counts are stored in its ``model`` under ``vecformer``.
        """
        write_atomically(path, self.to_json())


def encodable(text: str) -> str:
    """Replace lone surrogates, which cannot be encoded, by question marks."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def text_key(text: Text) -> str | tuple[str, ...]:
    """Return the text in a form that can be the key of a dictionary."""
    return text if isinstance(text, str) else tuple(text)
