"""Words as a checkpoint's tokenizer cuts them, and vectors pooled from the rows of their tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models

from embeddings.table.row_maps import Vectors

Pool = Literal["mean", "first", "last"]
TokenIds = NDArray[np.int64]

SPACE_MARKS = ("Ġ", "▁")  # how byte-level BPE and sentencepiece write a leading space
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters: their words follow one another without a space."""
WORDS_A_BATCH = 1024


class Subwords:
    """Cuts words into the tokens that they are inside a sentence.

    A tokenizer that marks spaces, and does not set one before a text by itself (byte-level BPE), is given the word with
    a space before it, except where text has none there: before punctuation and in scripts written without spaces.
    Case, accents and the like are folded as the tokenizer does it.

    Args:
        tokenizer: a checkpoint's; its truncation and padding are switched off.
        n_tokens: rows of the table that its ids number; by default all ids have one.
    """

    def __init__(self, tokenizer: Tokenizer, n_tokens: int | None = None) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self._n_tokens = tokenizer.get_vocab_size() if n_tokens is None else n_tokens
        self._unknown = _unknown_id(tokenizer)
        self._prefix = _prefix(tokenizer)

    def encode(self, words: Iterable[str]) -> list[TokenIds]:
        """The ids of each word's tokens, int64; none for a word that holds something unknown to the tokenizer.

        Returns:
            For each word: *Shape:* ``(n_subwords,)``.
        """
        encodings = self.tokenizer.encode_batch_fast(list(map(self.in_sentence, words)), add_special_tokens=False)
        return [self._known(encoding.ids) for encoding in encodings]

    def encode_texts(self, words: Iterable[str], max_length: int) -> list[tuple[list[int], list[bool]]]:
        """Encode each word as a text by itself, with the special tokens that the checkpoint's model expects.

        Returns:
            For each word the ids of the tokens, no more than ``max_length``, and which of them are the word's own.
        """
        self.tokenizer.enable_truncation(max_length)
        encodings = self.tokenizer.encode_batch(list(map(self.in_sentence, words)))
        self.tokenizer.no_truncation()
        return [(one.ids, [not special for special in one.special_tokens_mask]) for one in encodings]

    def in_sentence(self, word: str) -> str:
        """The word with what stands before it inside a sentence."""
        return self._prefix + word if word[:1].isalnum() and not UNSPACED.match(word) else word

    def whole_words(self) -> dict[str, TokenIds]:
        """The words that are one token, in the order of their ids.

        A token counts if its own text is encoded as that token: neither continuations nor special tokens do.
        """
        tokens = range(min(self._n_tokens, self.tokenizer.get_vocab_size()))
        texts = [_bare(text) for text in self.tokenizer.decode_batch([[token] for token in tokens])]
        return {text: ids for token, text, ids in zip(tokens, texts, self.encode(texts), strict=True)
                if text and ids.tolist() == [token]}

    def _known(self, ids: list[int]) -> TokenIds:
        if self._unknown in ids or (ids and max(ids) >= self._n_tokens):
            return np.zeros(0, np.int64)
        return np.array(ids, np.int64)


def pooled(rows: Callable[[TokenIds], Vectors], ids: Sequence[TokenIds], pool: Pool) -> Vectors:
    """Make each word's vector of those of its tokens.

    Args:
        rows: gathers the vectors of tokens. *Shape:* ``(n_ids,)`` to ``(n_ids, dim)``, float32.
        ids: of each word's tokens, at least one. *Shape:* ``(n_subwords,)``.
        pool: the ``mean`` of the tokens, or the ``first`` or ``last`` of them.

    Returns:
        float32. *Shape:* ``(n_words, dim)``.
    """
    if pool != "mean":
        place = 0 if pool == "first" else -1
        return rows(np.array([one[place] for one in ids], np.int64))
    lengths = np.array([len(one) for one in ids], np.int32)              # (n_words,)
    starts = lengths.cumsum() - lengths
    sums = np.add.reduceat(rows(np.concatenate(ids)), starts, axis=0)    # (n_words, dim)
    means: Vectors = np.divide(sums, lengths[:, None], dtype=np.float32)
    return means


@dataclass(frozen=True, eq=False)
class SubwordVectors:
    """Composes a word from a checkpoint's tokens.

    Attributes:
        vectors: float32. *Shape:* ``(n_tokens, dim)``.
        subwords: cuts words into tokens.
        pool: how the tokens' vectors become the word's.
    """

    vectors: Vectors
    subwords: Subwords
    pool: Pool

    def compose(self, word: str) -> Vectors | None:
        """The word's vector; None if it holds something unknown to the tokenizer."""
        ids = self.subwords.encode([word])
        if not len(ids[0]):
            return None
        row: Vectors = pooled(self.vectors.__getitem__, ids, self.pool)[0]
        return row

    def describe(self) -> dict[str, Any]:
        """The pooling, and the tokenizer as its ``tokenizer.json`` has it."""
        return {"kind": "subwords", "pool": self.pool, "tokenizer": json.loads(self.subwords.tokenizer.to_str())}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The vectors of the tokens."""
        return {"vectors": self.vectors}

    @classmethod
    def read(cls, described: Mapping[str, Any], vectors: Vectors) -> SubwordVectors:
        """Make it again from what :meth:`describe` and :meth:`tensors` gave."""
        tokenizer = Tokenizer.from_str(json.dumps(described["tokenizer"]))
        return cls(vectors, Subwords(tokenizer, len(vectors)), described["pool"])


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    if isinstance(tokenizer.model, models.Unigram):  # its class does not tell
        unknown: int | None = json.loads(tokenizer.to_str())["model"]["unk_id"]
        return unknown
    token = tokenizer.model.unk_token
    return None if token is None else tokenizer.token_to_id(token)


def _prefix(tokenizer: Tokenizer) -> str:
    """What a word needs before it to be cut as it is inside a sentence, seen from how a sentence of two is cut."""
    two, alone, spaced = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("a a", "a", " a"))
    return " " if two != alone + alone and two == alone + spaced else ""


def _bare(text: str) -> str:
    """A token's text without its leading space, however that is written."""
    text = text.strip()
    return text[1:] if text.startswith(SPACE_MARKS) else text
