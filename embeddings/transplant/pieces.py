"""The mean of the rows of a token's pieces: the method ``subword``, and the fallback of all others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array
from tokenizers import Tokenizer

from embeddings.table.subword_composer import Subwords, unknown_id
from embeddings.tokenization.token_text import Notation, Token, notation_of, tokens_of
from embeddings.transplant.base import Mixture, Problem
from embeddings.transplant.vocabulary import Vocabulary


def mean_of_pieces(problem: Problem) -> Iterator[Mixture]:
    """Yield the weights of the tokens that the old vocabulary can split, each piece with the same weight."""
    split = {int(row): problem.old.split(problem.new.tokens[row]) for row in problem.rows}
    split = {row: pieces for row, pieces in split.items() if len(pieces)}
    if not split:
        return
    lengths = np.array([len(pieces) for pieces in split.values()])
    weights = np.repeat((1 / lengths).astype(np.float32), lengths)
    columns = np.concatenate([np.asarray(pieces, np.int64) for pieces in split.values()])
    yield Mixture(np.array([*split], np.int64), csr_array(
        (weights, (np.repeat(np.arange(len(split)), lengths), columns)), shape=(len(split), len(problem.old))))


class Pieces:
    """Splits the tokens of another vocabulary by a tokenizer.

    A token that continues a word is split without the mark of a word start, if the tokenizer can do so.

    Args:
        tokenizer: tokenizer of the checkpoint.
        n_rows: number of rows of its table.
    """

    def __init__(self, tokenizer: Tokenizer, n_rows: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())  # whose truncation and padding are disabled
        self._subwords = Subwords(self._tokenizer, n_rows)
        self._notation: Notation = notation_of(tokenizer)
        self._n_rows, self._unknown = n_rows, unknown_id(tokenizer)

    def __call__(self, token: Token) -> list[int]:
        """Return the rows of the pieces; none if the text has a character that is unknown."""
        if not token.text or token.is_special:
            return []
        if not token.begins_word:
            text = self.normalize(token.text)
            pieces = self._tokenizer.model.tokenize(self._notation.name(text, begins_word=False)) if text else []
            ids = [piece.id for piece in pieces]
            if ids and self._unknown not in ids and max(ids) < self._n_rows:
                return ids
        found: list[int] = self._subwords.encode([token.text])[0].tolist()
        return found

    def normalize(self, text: str) -> str:
        """Normalise a text as the tokenizer does, without the marks of spaces that some normalisers add."""
        normalizer = self._tokenizer.normalizer
        if normalizer is None:
            return text
        changed: str = normalizer.normalize_str(text)
        return changed.replace("▁", " ").strip() if self._notation.kind == "metaspace" else changed


def checkpoint_vocabulary(tokenizer: Tokenizer, n_rows: int) -> Vocabulary:
    """Return the vocabulary of a checkpoint, without static vectors.

    Args:
        tokenizer: tokenizer of the checkpoint.
        n_rows: number of rows of its table.
    """
    pieces = Pieces(tokenizer, n_rows)
    return Vocabulary(tokens_of(tokenizer, n_rows), split=pieces, normalize=pieces.normalize)
