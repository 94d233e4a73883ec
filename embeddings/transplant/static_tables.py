"""The static vectors of a transplant's vocabularies, from sources of word vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tokenizers import Tokenizer

from embeddings.table import EmbeddingTable
from embeddings.transplant.base import Method
from embeddings.transplant.dictionary import aligned, read_dictionary
from embeddings.transplant.static_vectors import token_vectors
from embeddings.transplant.vocabulary import Vocabulary

VECTORS = "fasttext"  # by default, trained on the text

Load = Callable[[str, Counter[str] | None], EmbeddingTable]
"""Loads the vectors of a specification for some words and their counts; None for all words."""


@dataclass(frozen=True)
class StaticOptions:
    """Where static vectors come from.

    Attributes:
        vectors: specification of the vectors of the new tokens.
        checkpoint_vectors: specification of the vectors of the checkpoint's tokens; None for ``vectors``.
        dictionary: file of pairs of words by which the former are rotated onto the latter; None if they are aligned.
    """

    vectors: str = VECTORS
    checkpoint_vectors: str | None = None
    dictionary: Path | None = None


def with_static_vectors(
    method: Method, old: Vocabulary, new: Vocabulary, tokenizers: tuple[Tokenizer, Tokenizer | None],
    counts: Counter[str], options: StaticOptions, load: Load,
) -> tuple[Vocabulary, Vocabulary]:
    """Return the vocabularies with the static vectors that a method needs.

    Args:
        method: the method.
        old: vocabulary of the checkpoint.
        new: the new vocabulary.
        tokenizers: tokenizer of the old vocabulary and of the new one; None for a vocabulary of words.
        counts: words of the text and their counts.
        options: specifications of the vectors, and the dictionary.
        load: loads vectors.

    Raises:
        EmbeddingError: if the vectors or the dictionary are invalid.
    """
    if not method.needs:
        return old, new
    requested = counts + Counter(dict.fromkeys((token.text for token in new.tokens if token.text), 1))
    ours, theirs = _tables(method, requested, options, load)
    new = replace(new, vectors=token_vectors(new.tokens, ours, tokenizers[1], counts))
    if theirs is not None:
        old = replace(old, vectors=token_vectors(old.tokens, theirs, tokenizers[0]))
    return old, new


def _tables(
    method: Method, requested: Counter[str], options: StaticOptions, load: Load
) -> tuple[EmbeddingTable, EmbeddingTable | None]:
    """Load static vectors for the new tokens and, if the method needs them, for the old ones."""
    if "old" in method.needs and options.checkpoint_vectors is None:  # all words, for the tokens of the checkpoint
        both = load(options.vectors, None)
        return both, both
    pairs = read_dictionary(options.dictionary) if options.dictionary else []
    ours = load(options.vectors, requested + Counter(word for _, word in pairs))
    if options.checkpoint_vectors is None:
        return ours, None
    theirs = load(options.checkpoint_vectors, None)
    return aligned(ours, theirs, pairs) if options.dictionary else ours, theirs
