"""Buckets of character n-grams equal those of gensim, which equal fastText's."""

import pytest
from gensim.models.fasttext import ft_ngram_hashes
from hypothesis import given
from hypothesis import strategies as st

from embeddings.table.ngram_hashes import ngram_buckets

WORD = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text("ab<> é日𝄞", max_size=6)


@given(st.lists(WORD, max_size=6), st.integers(0, 6), st.integers(0, 7), st.sampled_from([1, 7, 100_000, 2_000_000]))
def test_buckets_equal_gensim(words, min_n, max_n, n_buckets):
    expected = [list(ft_ngram_hashes(word, min_n, max_n, n_buckets)) for word in words]
    assert ngram_buckets(words, min_n, max_n, n_buckets) == expected


@pytest.mark.parametrize(("word", "n_ngrams"), [("", 0), ("a", 1), ("ab", 3), ("日本", 3)])
def test_number_of_ngrams_of_3_to_6_characters(word, n_ngrams):
    assert len(ngram_buckets([word], 3, 6, 10)[0]) == n_ngrams
