"""The vocabularies of a transplant, and the tokens that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.table.row_maps import Vectors
from embeddings.tokenization.token_text import Token

Ids = NDArray[np.int64]

ROLES = (
    ("[PAD]", "<pad>"), ("[UNK]", "<unk>"), ("[MASK]", "<mask>"),
    ("[CLS]", "<s>", "<cls>", "<bos>", "<|begin_of_text|>"), ("[SEP]", "</s>", "<sep>", "<eos>", "<|endoftext|>"),
)
"""Usual names of the special tokens with the same role."""


def no_pieces(_token: Token) -> Sequence[int]:
    """Split no token."""
    return ()


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Tokens in the order of their rows, and their static vectors.

    Attributes:
        tokens: the tokens.
        vectors: static vectors, float32; a row of zeros is a token without a vector. None if there are none.
            *Shape:* ``(n_tokens, static_dim)``.
        split: returns the rows of the tokens into which this vocabulary splits another token; none if it cannot.
        normalize: normalises the text of a token as the tokenizer of this vocabulary does.

    Raises:
        EmbeddingError: if there are not as many vectors as tokens, or a value is not finite.
    """

    tokens: Sequence[Token]
    vectors: Vectors | None = None
    split: Callable[[Token], Sequence[int]] = no_pieces
    normalize: Callable[[str], str] = str

    def __post_init__(self) -> None:
        if self.vectors is None:
            return
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.tokens):
            raise EmbeddingError(f"{len(self.tokens)} tokens, but static vectors of shape {list(self.vectors.shape)}")
        if not np.isfinite(self.vectors).all():
            raise EmbeddingError("a static vector of a token is not finite; use other vectors")

    def __len__(self) -> int:
        return len(self.tokens)

    def with_vectors(self) -> Ids:
        """Return the rows of the ordinary tokens that have a static vector, int64."""
        if self.vectors is None:
            return np.zeros(0, np.int64)
        return np.array([row for row, token in enumerate(self.tokens)
                         if not token.is_special and self.vectors[row].any()], np.int64)


def shared_rows(old: Vocabulary, new: Vocabulary) -> Ids:
    """Find the tokens that two vocabularies share, whichever notation each of them has.

    A token is shared if text and start of word are equal, or equal after the normalisation of the old vocabulary (lower
    case). Punctuation is shared whether or not it starts a word, and special tokens by their name or role.

    Returns:
        For each new token its row in the old vocabulary, or -1, int64. *Shape:* ``(n_new,)``.
    """
    special = {token.name: row for row, token in enumerate(old.tokens)}
    special |= {token.name: row for row, token in enumerate(old.tokens) if token.is_special}
    by_name: dict[str, int] = {}
    by_text: dict[tuple[str, bool], int] = {}
    for row, token in enumerate(old.tokens):
        if token.is_special:
            continue
        if token.text is None:
            by_name.setdefault(token.name, row)
        else:
            by_text.setdefault((token.text, token.begins_word), row)
    return np.array([_special(token.name, special) if token.is_special else _ordinary(token, by_name, by_text, old)
                     for token in new.tokens], np.int64)


def _special(name: str, rows: Mapping[str, int]) -> int:
    names = next((role for role in ROLES if name in role), ())
    return _first(rows, (name, *names))


def _ordinary(
    token: Token, by_name: Mapping[str, int], by_text: Mapping[tuple[str, bool], int], old: Vocabulary
) -> int:
    if token.text is None:  # part of a character: the name is that of its bytes
        return by_name.get(token.name, -1)
    texts = dict.fromkeys((token.text, old.normalize(token.text)))
    starts = (token.begins_word,) if any(map(str.isalnum, token.text)) else (token.begins_word, not token.begins_word)
    return _first(by_text, ((text, start) for start in starts for text in texts))


def _first(rows: Mapping[Any, int], keys: Iterable[Any]) -> int:
    return next((rows[key] for key in keys if key in rows), -1)
