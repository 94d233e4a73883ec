from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Indel

from embeddings import EmbeddingTable
from embeddings.errors import SpecificationError
from embeddings.table.ngram_hashes import ngram_buckets
from embeddings.table.oov_composers import Averaged, Concatenated, NgramVectors, Transformed
from embeddings.table.oov_policy import MIN_SIMILARITY, STEPS, NearestSpelling, OOVPolicy, parse_policy
from embeddings.table.row_maps import Affine

WORDS = ("cat", "Paris", "NATO", "####", "00-00", "colour", "colors")


def table(**more):
    vectors = np.arange(len(WORDS) * 2, dtype=np.float32).reshape(len(WORDS), 2) + 1
    return EmbeddingTable(WORDS, vectors, ("exact",) * len(WORDS), "here", **more)


def why(words, *steps, of=None):
    return (of or table()).lookup(words, OOVPolicy(steps)).provenance


def test_each_policy_step_is_applied_and_recorded():
    words = ["cat", "paris", "1999", "12-31", "color", "qqqqqq"]
    nothing = ("missing",) * 5
    assert why(words, "zero") == ("exact", *nothing)
    assert why(words, "case") == ("exact", "folded", "missing", "missing", "missing", "missing")
    assert why(words, "digits") == ("exact", "missing", "digits", "digits", "missing", "missing")
    assert why(words, "spelling")[4:] == ("spelling", "missing")
    assert why(words, "case", "digits", "spelling") == ("exact", "folded", "digits", "digits", "spelling", "missing")


def test_order_of_the_policy_matters():
    ngrams = NgramVectors(np.full((1, 2), 9, np.float32), min_n=3, max_n=3)
    made = table(composer=ngrams)
    assert why(["color"], "subword", "spelling", of=made) == ("subword",)
    assert why(["color"], "spelling", "subword", of=made) == ("spelling",)
    assert why(["color"], "case", of=made) == ("missing",)


def test_misspelt_word_is_the_mean_of_the_most_similar():
    found = table().lookup(["colours"], OOVPolicy(("spelling",)))
    np.testing.assert_allclose(found.vectors[0], table().vectors[[5, 6]].mean(axis=0))


LETTERS = st.text("abcd", min_size=1, max_size=8)


@given(st.lists(LETTERS, min_size=1, max_size=20, unique=True), LETTERS)
def test_nearest_spellings_equal_exhaustive_search(words, word):
    found = NearestSpelling(words).rows([word])[0].tolist()
    assert len(found) <= 3
    scores = sorted((100 * Indel.normalized_similarity(word, other) for other in words
                     if abs(len(other) - len(word)) <= 2), reverse=True)
    expected = [score for score in scores[:3] if score >= MIN_SIMILARITY]
    assert [100 * Indel.normalized_similarity(word, words[row]) for row in found] == pytest.approx(expected)


def test_last_step_of_the_policy_fills_missing_words():
    gaps = table().lookup(["cat", "x", "y"], OOVPolicy(("zero",)))
    zero = gaps.filled(1, OOVPolicy(("zero",)).last)
    assert zero.provenance == ("exact", "zero", "zero")
    assert (zero.vectors[1:] == 0).all()
    drawn = gaps.filled(1, OOVPolicy(("case",)).last)
    assert drawn.provenance == ("exact", "random", "random")
    assert OOVPolicy(()).last == "random"


@pytest.mark.parametrize(
    ("steps", "message"),
    [(("cases",), "Did you mean 'case'"), (("zero", "case"), "put it last"), (("case", "case"), "is repeated")],
)
def test_wrong_policies(steps, message):
    with pytest.raises(SpecificationError, match=message):
        OOVPolicy(steps)


@given(st.lists(st.sampled_from(STEPS), max_size=6), st.text(max_size=8))
def test_any_policy_gives_every_word_one_row_or_one_message(steps, word):
    try:
        policy = parse_policy([",".join(steps)])
    except SpecificationError:
        assert len(set(steps)) < len(steps) or {"random", "zero"} & set(steps[:-1])
        return
    found = table().lookup([word], policy).filled(1, policy.last)
    assert len(found) == 1
    assert found.provenance[0] in ("exact", "folded", "digits", "spelling", "random", "zero")


ALPHABET = st.text("abAB1#0ßİéÉ-", min_size=1, max_size=3)


@given(st.sets(ALPHABET, min_size=1), st.sets(ALPHABET),
       st.sampled_from([("case", "digits"), ("digits",), ("case",), ("random",)]))
def test_words_without_a_variant_are_filtered_out(listed, words, steps):
    policy = OOVPolicy(steps)
    has_variant = policy.variant_filter(listed)
    for word in words:
        if any(variant in listed for variant, _ in policy.variants(word)):
            assert has_variant(word)
    assert not has_variant("zz")


@given(st.sets(ALPHABET, min_size=1), st.lists(ALPHABET, unique=True))
def test_many_words_are_looked_up_as_few_are(listed, words):
    made = EmbeddingTable.known(sorted(listed), np.arange(len(listed), dtype=np.float32)[:, None], "here")
    few = made.lookup(words)
    with mock.patch("embeddings.table.table.MANY", 0):
        many = made.lookup(words)
    assert many.provenance == few.provenance
    assert (many.vectors == few.vectors).all()


NGRAMS = NgramVectors(np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32), min_n=2, max_n=4)
OTHERS = NgramVectors(np.random.default_rng(2).normal(size=(30, 3)).astype(np.float32), min_n=5, max_n=5)
HALF = Affine(np.ones(3, np.float32), np.full((3, 2), 0.5, np.float32))


@pytest.mark.parametrize("composer", [
    NGRAMS, OTHERS, Averaged((NGRAMS, OTHERS)), Concatenated(((NGRAMS, 3), (None, 2), (OTHERS, 3))),
    Transformed(OTHERS, (HALF,)), NgramVectors(np.zeros((0, 3), np.float32), 2, 4),
], ids=["n-grams", "long n-grams", "averaged", "concatenated", "transformed", "no buckets"])
@given(words=st.lists(ALPHABET, max_size=7))
def test_words_are_composed_together_as_alone(composer, words):
    with mock.patch("embeddings.table.pooling.WORDS_PER_BATCH", 3):
        vectors, found = composer.compose(words)
    assert len(vectors) == len(found) == len(words)
    for word, vector, is_found in zip(words, vectors, found, strict=True):
        alone = composer.compose([word])
        assert (alone.vectors[0] == pytest.approx(vector, abs=1e-6), bool(alone.found[0])) == (True, bool(is_found))
    assert not vectors[~found].any()


def test_an_ngram_vector_is_the_mean_of_its_buckets():
    (buckets,) = ngram_buckets(["cats"], 2, 4, 50)
    assert NGRAMS.compose(["cats"]).vectors[0] == pytest.approx(NGRAMS.vectors[buckets].mean(axis=0))
