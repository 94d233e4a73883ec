"""The characters of n-grams are those that the hasher counts, and no contribution is lost or invented."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embeddings.tokenization.ngrams import NgramHasher
from pipeline.explanation.ngram_places import _lowered, character_contributions, character_ngrams, word_ngrams
from pipeline.explanation.scores import Term
from pipeline.tasks.ngrams.config import NgramConfig

TEXTS = st.text(st.sampled_from("aB é.,!-1İß \t\n\u3000字Σ_"), max_size=25)


@given(TEXTS, st.integers(1, 3), st.integers(1, 3), st.integers(0, 3))
@example("", 2, 2, 3)
@example("a", 1, 1, 4)
@example("İİ X", 2, 2, 3)
def test_the_n_grams_are_those_of_the_hasher(text, words, shortest, more):
    hasher = NgramHasher(words, (shortest, shortest + more), 2**16)
    expected = {(one.family, one.ngram): one.frequency for one in hasher.ngrams(text)}
    lowered, places = _lowered(text)
    found = Counter(("words", ngram) for ngram, _ in word_ngrams(lowered, words))
    found.update(("characters", ngram) for ngram, _ in character_ngrams(lowered, shortest, shortest + more))
    assert len(places) == len(lowered)
    assert dict(found) == expected


@given(TEXTS)
def test_positions_are_those_of_the_characters(text):
    lowered, _ = _lowered(text)
    for ngrams in (word_ngrams(lowered, 2), character_ngrams(lowered, 2, 4)):
        for ngram, characters in ngrams:
            assert "".join(lowered[i] for i in characters) == ngram.replace(" ", "")


@given(TEXTS)
def test_the_contributions_of_the_characters_sum_to_those_of_the_n_grams(text):
    config = NgramConfig(words=2, characters=(2, 4))
    terms = {Term(one.family, one.ngram): float(len(one.ngram))
             for one in NgramHasher(2, (2, 4), 2**16).ngrams(text)}
    found = character_contributions(text, terms, config)
    assert found.shape == (len(text),)
    assert found.sum() == pytest.approx(sum(terms.values()))


def test_an_n_gram_is_divided_between_its_occurrences_and_characters():
    found = character_contributions("cat a cat", {Term("words", "cat"): 6.0}, NgramConfig(words=1, characters=(9, 9)))
    assert found.tolist() == [1, 1, 1, 0, 0, 0, 1, 1, 1]
