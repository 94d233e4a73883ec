"""Subword tokenization of words by a checkpoint's tokenizer, and pooling of their token vectors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models

from embeddings.table.pooling import Composed, Pool, compose_from_rows
from embeddings.table.row_maps import Vectors

TokenIds = NDArray[np.int64]

SPACE_MARKS = ("Ġ", "▁")  # a leading space in byte-level BPE and sentencepiece
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters, whose words are not separated by spaces."""


class Subwords:
    """Splits words into the tokens that they have inside a sentence.

    A tokenizer that encodes spaces and does not prepend one itself (byte-level BPE) receives the word with a leading
    space, except before punctuation and in scripts written without spaces. The tokenizer normalises case and accents.

    Args:
        tokenizer: a checkpoint's tokenizer; its truncation and padding are disabled.
        n_tokens: number of rows of the embedding matrix; by default every id has a row.
    """

    def __init__(self, tokenizer: Tokenizer, n_tokens: int | None = None) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self.n_tokens = tokenizer.get_vocab_size() if n_tokens is None else n_tokens
        self._unknown = unknown_id(tokenizer)
        self._prefix = _prefix(tokenizer)

    def encode(self, words: Iterable[str]) -> list[TokenIds]:
        """Return the token ids of each word, int64; none for a word that contains an unknown token.

        Returns:
            For each word: *Shape:* ``(n_subwords,)``.
        """
        encodings = self.tokenizer.encode_batch_fast(list(map(self.in_sentence, words)), add_special_tokens=False)
        return [self._known(encoding.ids) for encoding in encodings]

    def encode_texts(self, words: Iterable[str], max_length: int) -> list[tuple[list[int], list[bool]]]:
        """Encode each word as a sequence with the special tokens that the model expects.

        Returns:
            For each word the token ids, at most ``max_length``, and for each token whether it belongs to the word.
        """
        self.tokenizer.enable_truncation(max_length)
        encodings = self.tokenizer.encode_batch(list(map(self.in_sentence, words)))
        self.tokenizer.no_truncation()
        return [(one.ids, [not special for special in one.special_tokens_mask]) for one in encodings]

    def in_sentence(self, word: str) -> str:
        """Return the word with the space that precedes it inside a sentence."""
        return self._prefix + word if word[:1].isalnum() and not UNSPACED.match(word) else word

    def whole_words(self) -> dict[str, TokenIds]:
        """Return the words that are a single token, in the order of their ids.

        A token counts if its text is encoded as that token; continuations and special tokens are not.
        """
        tokens = range(min(self.n_tokens, self.tokenizer.get_vocab_size()))
        texts = [_bare(text) for text in self.tokenizer.decode_batch([[token] for token in tokens])]
        return {text: ids for token, text, ids in zip(tokens, texts, self.encode(texts), strict=True)
                if text and ids.tolist() == [token]}

    def _known(self, ids: list[int]) -> TokenIds:
        if self._unknown in ids or (ids and max(ids) >= self.n_tokens):
            return np.zeros(0, np.int64)
        return np.array(ids, np.int64)


@dataclass(frozen=True, eq=False)
class SubwordVectors:
    """Composes words from the token vectors of a checkpoint.

    Attributes:
        vectors: float32. *Shape:* ``(n_tokens, dim)``.
        subwords: splits words into tokens.
        pool: pooling over the tokens of a word.
    """

    vectors: Vectors
    subwords: Subwords
    pool: Pool

    def compose(self, words: Sequence[str]) -> Composed:
        """Pool the vectors of the tokens of each word; a word with an unknown token has no vector."""
        return compose_from_rows(words, self.subwords.encode, self.vectors, self.pool)

    def describe(self) -> dict[str, Any]:
        """Return the pooling, and the content of ``tokenizer.json``."""
        return {"kind": "subwords", "pool": self.pool, "tokenizer": json.loads(self.subwords.tokenizer.to_str())}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the vectors of the tokens."""
        return {"vectors": self.vectors}

    @classmethod
    def read(cls, described: Mapping[str, Any], vectors: Vectors) -> SubwordVectors:
        """Construct a composer from the results of :meth:`describe` and :meth:`tensors`."""
        tokenizer = Tokenizer.from_str(json.dumps(described["tokenizer"]))
        return cls(vectors, Subwords(tokenizer, len(vectors)), described["pool"])


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of the unknown token; None if the model has none."""
    if isinstance(tokenizer.model, models.Unigram):  # its class has no such attribute
        unknown: int | None = json.loads(tokenizer.to_str())["model"]["unk_id"]
        return unknown
    token = tokenizer.model.unk_token
    return None if token is None else tokenizer.token_to_id(token)


def _prefix(tokenizer: Tokenizer) -> str:
    """Return what has to precede a word to tokenize it as inside a sentence, tested with a sentence of two words."""
    two, alone, spaced = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("a a", "a", " a"))
    return " " if two != alone + alone and two == alone + spaced else ""


def _bare(text: str) -> str:
    """Return a token's text without its leading space, in any encoding."""
    text = text.strip()
    return text[1:] if text.startswith(SPACE_MARKS) else text
