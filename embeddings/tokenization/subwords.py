"""The subword tokenizer of a run: any ``tokenizer.json``, with the special tokens and ids of this project."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from embeddings.errors import EmbeddingError
from embeddings.special_tokens import END, MASK, N_SPECIAL, PAD, SPECIAL_TOKENS, START, UNK, UNK_ID
from embeddings.tokenization.interface import Span, Text, TextTokenizer, WordTokens, encodable
from embeddings.tokenization.interning import TokenInterner
from embeddings.tokenization.token_text import Token, notation_of
from embeddings.tokenization.tokenizer import OUR_KEY, WordTokenizer

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    PAD: ("[PAD]", "<pad>", "<|pad|>"),
    UNK: ("[UNK]", "<unk>"),
    START: ("[CLS]", "<s>", "<bos>", "<|startoftext|>", "<|endoftext|>"),
    END: ("[SEP]", "</s>", "<eos>", "<|endoftext|>"),
    MASK: ("[MASK]", "<mask>"),
}
"""Names that tokenizers give to the five special tokens."""
BATCH = 1024  # texts whose encodings are in memory at the same time


class SubwordTokenizer(TextTokenizer):
    """Splits text into the subwords of a tokenizer of the ``tokenizers`` library.

    Its special tokens get the ids 0 to 4; the other tokens follow in the order of their ids in the file. A special
    token that is written in a text is split like other text, or is unknown.

    Args:
        tokenizer: a tokenizer; truncation and padding are disabled.
        counts: count of each token in a text, by name.

    Attributes:
        file_ids: id in the file of each token, int64; -1 for a special token that the file lacks. *Shape:*
            ``(n_tokens,)``.

    Raises:
        EmbeddingError: if two tokens have the same name as one of the special tokens.
    """

    units = "subwords"

    def __init__(self, tokenizer: Tokenizer, counts: Mapping[str, int] | None = None) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        ids = tokenizer.get_vocab(with_added_tokens=True)
        self.special = {ours: next((name for name in names if name in ids), None) for ours, names in _names(tokenizer)}
        roles = [ids.get(name, -1) if name else -1 for name in self.special.values()]
        others = sorted((number, token) for token, number in ids.items() if number not in roles)
        self._vocabulary = (*SPECIAL_TOKENS, *(token for _, token in others))
        if len(set(self._vocabulary)) < len(self._vocabulary):
            twice = next(token for token in SPECIAL_TOKENS if token in self._vocabulary[N_SPECIAL:])
            raise EmbeddingError(f"the tokenizer has a token {twice!r} besides the special token of that kind; rename "
                                 "it in tokenizer.json")
        self.file_ids = np.array([*roles, *(number for number, _ in others)], dtype=np.int64)
        self._ours = np.full(max(ids.values(), default=0) + 1, UNK_ID, dtype=np.int32)
        self._ours[self.file_ids[N_SPECIAL:]] = np.arange(N_SPECIAL, len(self.file_ids), dtype=np.int32)
        tokens = self._vocabulary[N_SPECIAL:]
        self.counts = None if counts is None else {token: counts.get(token, 0) for token in tokens}

    def __len__(self) -> int:
        return len(self._vocabulary)

    @property
    def backend(self) -> Tokenizer:
        """The tokenizer of the ``tokenizers`` library."""
        return self._tokenizer

    def words(self, text: Text) -> list[str]:
        """Split a text into tokens."""
        return [self._vocabulary[number] for number in self.encode([text])[0]]

    def intern(self, texts: Sequence[Text], interner: TokenInterner) -> list[NDArray[np.int32]]:
        """Tokenize texts as :meth:`words`, and intern their tokens. *Shape* of each result: ``(n_tokens,)``, int32."""
        interned = interner.intern(self._vocabulary)                                        # (n_tokens,)
        return [interned[ids] for ids in self.encode(texts)]

    def spans(self, text: str) -> list[Span]:
        """Split a text into tokens with their positions in the original text, without the space before them."""
        encoding = next(self._encodings([text]))
        return [Span(self._vocabulary[self._ours[number]], *_without_space(text, start, end))
                for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)]

    def encode_tokens(self, texts: Sequence[Sequence[str]]) -> list[NDArray[np.int32]]:
        """Return the ids of tokens. *Shape* of each: ``(n_tokens,)``, int32."""
        return [np.array([self._numbers[token] for token in tokens], dtype=np.int32) for tokens in texts]

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> list[WordTokens]:
        """Encode sentences that are already split into words, as texts in which spaces separate these.

        A word in which no token begins, such as one of control characters only, has the token ``<unk>``.
        """
        return [self._pieces(words, text, encoding) for words, text, encoding in zip(
            sentences, map(" ".join, sentences), self._encodings(sentences), strict=True)]

    def begins_words(self, ids: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return whether each token of a text is the beginning of a word, by its notation. *Shape:* ``(n_tokens,)``."""
        begins: NDArray[np.bool_] = self._begins_word[ids]
        return begins

    def _pieces(self, words: Sequence[str], text: str, encoding: Encoding) -> WordTokens:
        ends = np.cumsum([len(word) + 1 for word in words])
        starts = [_without_space(text, *offsets)[0] for offsets in encoding.offsets]
        found = np.minimum(np.searchsorted(ends, np.array(starts, dtype=np.int64), side="right"), len(words) - 1)
        absent = np.setdiff1d(np.arange(len(words)), found)
        numbers = np.append(found, absent)
        ids = np.append(self._ours[encoding.ids], np.full(len(absent), UNK_ID, dtype=np.int32))
        order = np.argsort(numbers, kind="stable")
        return WordTokens(ids[order], numbers[order].astype(np.int32))

    def fold(self, word: str) -> str:
        """Normalise a word as the tokenizer does."""
        normalizer = self._tokenizer.normalizer
        return word if normalizer is None else str(normalizer.normalize_str(encodable(word)))

    def can_produce(self, word: str) -> bool:
        """Return whether this is a token."""
        return word in self._numbers

    def encode(self, texts: Sequence[Text], *, max_length: int | None = None) -> list[NDArray[np.int32]]:
        """Encode texts; words that are already split are joined by spaces. *Shape* of each: ``(n_tokens,)``, int32."""
        return [self._ours[encoding.ids[:max_length]] for encoding in self._encodings(texts, offsets=False)]

    def cache_encodings(self, encodings: Mapping[str | tuple[str, ...], NDArray[np.int32]]) -> None:
        """Do nothing: texts are encoded again, which takes no longer than splitting them."""

    def vocabulary(self) -> tuple[str, ...]:
        """Return all tokens in the order of their ids, the special tokens first."""
        return self._vocabulary

    def with_vocabulary(self, words: Iterable[str]) -> SubwordTokenizer:
        """Return the tokenizer with other counts, if ``words`` is a mapping; its tokens cannot change.

        Raises:
            ValueError: if the tokens are others.
        """
        counts = words if isinstance(words, Mapping) else None
        if tuple(words) != self._vocabulary[N_SPECIAL:]:
            raise ValueError("a subword tokenizer cannot have other tokens")
        return SubwordTokenizer(self._tokenizer, counts if counts is not None else self.counts)

    def word_tokenizer(self) -> WordTokenizer:
        """Return a tokenizer that splits text into words with the same case and accents."""
        return self._word_tokenizer

    @cached_property
    def _word_tokenizer(self) -> WordTokenizer:
        return WordTokenizer(lowercase=self.fold("A") == "a", strip_accents=self.fold("e\u0301é") == "ee")

    @cached_property
    def _begins_word(self) -> NDArray[np.bool_]:
        return np.array([True] * N_SPECIAL + [token.begins_word for token in self.texts_of_tokens()])

    def texts_of_tokens(self) -> list[Token]:
        """Return the text of each token of the vocabulary after the special tokens."""
        notation = notation_of(self._tokenizer)
        return [notation.token(token) for token in self._vocabulary[N_SPECIAL:]]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of token ids, without special tokens."""
        own = self.file_ids[[number for number in ids if number >= N_SPECIAL]]
        return str(self._tokenizer.decode(own.tolist(), skip_special_tokens=False))

    def to_json(self) -> str:
        """Return the content of ``tokenizer.json``."""
        described = json.loads(self._tokenizer.to_str(pretty=False))
        counts = None if self.counts is None else list(self.counts.values())
        described["model"][OUR_KEY] = {"units": self.units, "counts": counts}
        return json.dumps(described, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> SubwordTokenizer:
        """Construct a tokenizer from the content of ``tokenizer.json``, of this project or another program."""
        tokenizer = cls(Tokenizer.from_str(text))
        stored = json.loads(text)["model"].get(OUR_KEY) or {}
        if (counts := stored.get("counts")) is not None:
            tokenizer.counts = dict(zip(tokenizer.vocabulary()[N_SPECIAL:], map(int, counts), strict=True))
        return tokenizer

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self._vocabulary)}

    def _encodings(self, texts: Sequence[Text], *, offsets: bool = True) -> Iterator[Encoding]:
        """Encode texts in batches, because encodings take much memory."""
        encode = self._tokenizer.encode_batch if offsets else self._tokenizer.encode_batch_fast
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            whole = [encodable(text if isinstance(text, str) else " ".join(text)) for text in batch]
            yield from encode(whole, add_special_tokens=False)


def _names(tokenizer: Tokenizer) -> list[tuple[str, tuple[str, ...]]]:
    """Return the names under which each special token is looked for; the model's own unknown token comes first."""
    unknown = getattr(tokenizer.model, "unk_token", None)
    return [(ours, (unknown, *names) if ours == UNK and unknown else names) for ours, names in USUAL_NAMES.items()]


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a position without the spaces at its beginning."""
    while start < end and text[start].isspace():
        start += 1
    return start, end
