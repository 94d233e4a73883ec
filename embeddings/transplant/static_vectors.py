"""Static vectors of tokens, from a table of word vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer

from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import OOVPolicy, is_known
from embeddings.table.row_maps import Vectors
from embeddings.table.subword_composer import Subwords
from embeddings.tokenization.token_means import mean_by_token
from embeddings.tokenization.token_text import Token

LISTED = OOVPolicy(("case", "digits", "zero"))  # how words are looked up
MAX_WORDS = 200_000  # words that are split to find out which tokens they contain


def token_vectors(
    tokens: Sequence[Token], table: EmbeddingTable, tokenizer: Tokenizer | None = None,
    counts: Mapping[str, int | float] | None = None,
) -> Vectors:
    """Compute a static vector for each token.

    A token that is a word of the table has its vector. Another one is composed from its character n-grams if the table
    has a composer (FastText). Otherwise it has the mean of the vectors of the words that contain it, weighted by their
    counts (WECHSEL, Minixhofer et al. 2022, for vectors without n-grams).

    Args:
        tokens: the tokens.
        table: word vectors.
        tokenizer: splits the words into these tokens; None if the tokens are words.
        counts: words and their counts in a text; by default the words of the table, whose order is taken for that of
            their frequency (Zipf's law).

    Returns:
        float32; rows of zeros for tokens without a vector, special tokens among them. *Shape:* ``(n_tokens, dim)``.
    """
    vectors = np.zeros((len(tokens), table.dim), np.float32)
    rows = [row for row, token in enumerate(tokens) if token.text and not token.is_special]
    words = [row for row in rows if tokens[row].begins_word]
    found = table.lookup(dict.fromkeys(str(tokens[row].text) for row in words), LISTED)
    for row in words:
        place = found.index[str(tokens[row].text)]
        if is_known(found.provenance[place]):
            vectors[row] = found.vectors[place]
    missing = [row for row in rows if not vectors[row].any()]
    if table.composer is not None:
        vectors[missing] = table.composer.compose([str(tokens[row].text) for row in missing]).vectors
    elif tokenizer is not None and missing:
        means = mean_of_words(len(tokens), table, tokenizer, zipf_counts(table.words) if counts is None else counts)
        vectors[missing] = means[missing]
    return vectors


def mean_of_words(
    n_tokens: int, table: EmbeddingTable, tokenizer: Tokenizer, counts: Mapping[str, int | float]
) -> Vectors:
    """Return for each token the mean of the vectors of the words that contain it, weighted by their counts.

    Of more than :data:`MAX_WORDS` words the first ones are used.

    Returns:
        float32; zeros for tokens that are in no word with a vector. *Shape:* ``(n_tokens, dim)``.
    """
    some = list(counts)[:MAX_WORDS]
    found = table.lookup(some, LISTED)
    known = [place for place, why in enumerate(found.provenance) if is_known(why)]
    ids = Subwords(Tokenizer.from_str(tokenizer.to_str())).encode([some[place] for place in known])
    return mean_by_token(n_tokens, ids, [counts[some[place]] for place in known], found.vectors, known)[0]


def zipf_counts(words: Sequence[str]) -> dict[str, float]:
    """Return ``1 / rank`` for words in the order of their frequency."""
    return {word: 1 / rank for rank, word in enumerate(words[:MAX_WORDS], start=1)}
