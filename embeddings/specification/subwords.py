"""Vectors of subwords from a source of word vectors.

A subword that is a word of the text has the vector of that word. Another one is composed from its character n-grams if
the source has such vectors (FastText), and otherwise is the mean of the words of the text that contain it, weighted by
their counts. A source that reads tokens itself, because it trains on them or draws their vectors, has an attribute
``reads_tokens`` that is true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from embeddings.request import VectorRequest
from embeddings.special_tokens import N_SPECIAL
from embeddings.specification.grammar import takes_parts
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import MISSING, SUBWORD, WORDS, is_known
from embeddings.tokenization.subwords import SubwordTokenizer
from embeddings.tokenization.token_means import mean_by_token

T = TypeVar("T", bound=type)
Load = Callable[[Any, VectorRequest], EmbeddingTable]


def for_subwords(cls: T) -> T:
    """Let a source that knows words only load the vectors of subwords too."""
    if takes_parts(cls):
        return cls
    load: Load = cls.load  # type: ignore[attr-defined]

    @wraps(load)
    def load_any(source: Any, request: VectorRequest) -> EmbeddingTable:
        if isinstance(request.tokenizer, SubwordTokenizer) and not getattr(source, "reads_tokens", False):
            return subword_table(lambda of_words: load(source, of_words), request, request.tokenizer)
        return load(source, request)

    cls.load = load_any  # type: ignore[attr-defined]
    return cls


def subword_table(
    load: Callable[[VectorRequest], EmbeddingTable], request: VectorRequest, tokenizer: SubwordTokenizer
) -> EmbeddingTable:
    """Return the vectors of the requested subwords that can be made from those of words.

    Args:
        load: loads the vectors of words.
        request: the request, whose vocabulary are the tokens of ``tokenizer``.
        tokenizer: the tokenizer of the request.
    """
    splitter = tokenizer.word_tokenizer()
    counts = splitter.count(request.texts or ())
    tokens = tokenizer.texts_of_tokens()
    whole = {token.text: 1 for token in tokens
             if token.begins_word and token.text and splitter.can_produce(token.text)}
    table = load(replace(request, vocabulary=counts or whole, extra_words=whole.keys(), n_frequent=0,
                         tokenizer=splitter))
    words = table.lookup({**whole, **counts}, request.unknown)
    rows = {word: row for row, (word, why) in enumerate(zip(words.words, words.provenance, strict=True))
            if is_known(why)}
    counted = [word for word in counts if word in rows]
    means, has_mean = mean_by_token(len(tokenizer), tokenizer.encode(counted), [counts[word] for word in counted],
                                    words.vectors, [rows[word] for word in counted])
    vectors, provenance = np.zeros((len(tokens), table.dim), np.float32), [MISSING] * len(tokens)
    composed = table.composer.compose([token.text or "" for token in tokens]) if table.composer else None
    for i, token in enumerate(tokens):
        if token.begins_word and token.text in rows:
            vectors[i], provenance[i] = words.vectors[rows[token.text]], words.provenance[rows[token.text]]
        elif composed and token.text and composed.found[i]:
            vectors[i], provenance[i] = composed.vectors[i], SUBWORD
        elif has_mean[N_SPECIAL + i]:
            vectors[i], provenance[i] = means[N_SPECIAL + i], WORDS
    return EmbeddingTable(tokenizer.vocabulary()[N_SPECIAL:], vectors, tuple(provenance), table.source,
                          table.transforms).where(why != MISSING for why in provenance)
