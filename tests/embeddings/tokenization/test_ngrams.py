import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from embeddings.tokenization import native, ngrams
from embeddings.tokenization.ngrams import (
    WORD_PATTERN,
    NgramHasher,
    frequency_of_columns,
    inverse_document_frequency,
    renumber_columns,
    tfidf,
)

TEXTS = ["The cat sat on the mat, the cat!", "a dog barked", "Äpfel und Birnen", "", "1984: the year the dog sat",
         "cat cat cat cat"]
NEW = ["The dog sat on Äpfel", "wholly unknown", ""]
HASHER = NgramHasher(2, (2, 5), 2**22)


def vectorizers():
    """TF-IDF by scikit-learn, for the n-grams of words and for those of characters."""
    return {"words": TfidfVectorizer(ngram_range=(1, 2), token_pattern=WORD_PATTERN, sublinear_tf=True),
            "characters": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)}


def buckets(family, hasher, texts):
    """The bucket of each n-gram of a family."""
    return {one.ngram: one.bucket for text in texts for one in hasher.ngrams(text) if one.family == family}


@pytest.mark.parametrize("texts", [TEXTS, NEW])
def test_rows_are_those_of_scikit_learn_where_no_buckets_collide(texts):
    counts = HASHER.counts(TEXTS)
    rows = tfidf(HASHER.counts(texts), inverse_document_frequency(counts)).toarray()
    n_found = 0
    for family, vectorizer in vectorizers().items():
        vectorizer.fit(TEXTS)
        of = buckets(family, HASHER, TEXTS)
        assert len(set(of.values())) == len(of) == len(vectorizer.vocabulary_)
        theirs = vectorizer.transform(texts).toarray()
        columns = [of[ngram] for ngram in vectorizer.get_feature_names_out()]
        np.testing.assert_allclose(rows[:, columns], theirs, rtol=1e-5, atol=1e-7)
        n_found += (theirs != 0).sum()
    assert (rows != 0).sum() == n_found > 0


def test_idf_is_that_of_scikit_learn_and_zero_for_unused_buckets():
    idf = inverse_document_frequency(HASHER.counts(TEXTS))
    assert idf.dtype == np.float32
    for family, vectorizer in vectorizers().items():
        vectorizer.fit(TEXTS)
        of = buckets(family, HASHER, TEXTS)
        np.testing.assert_allclose([idf[of[ngram]] for ngram in vectorizer.get_feature_names_out()], vectorizer.idf_,
                                   rtol=1e-6)
    assert (idf > 0).sum() == sum(len(buckets(family, HASHER, TEXTS)) for family in ("words", "characters"))


@pytest.mark.parametrize("n_buckets", [2, 64, 2**14])
def test_folded_counts_are_those_of_a_hasher_with_fewer_buckets(n_buckets):
    small = NgramHasher(2, (2, 5), n_buckets)
    folded, direct = small.folded(HASHER.counts(TEXTS)), small.counts(TEXTS)
    assert (folded != direct).nnz == 0
    assert folded.shape == (len(TEXTS), n_buckets)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4), st.sampled_from([2, 32, 2**14]))
def test_ngrams_are_those_that_are_counted(texts, n_buckets):
    hasher = NgramHasher(3, (1, 3), n_buckets)
    counted = np.zeros((len(texts), n_buckets))
    for row, text in enumerate(texts):
        for one in hasher.ngrams(text):
            assert (one.bucket >= hasher.half) == (one.family == "characters")
            counted[row, one.bucket] += one.frequency
    np.testing.assert_array_equal(hasher.counts(texts).toarray(), counted)


CHARACTERS = st.characters() | st.sampled_from(" aAİßé\u3000\x1c\x85_0.,'")


@pytest.mark.skipif(not native.available(), reason="compiled code is not available")
@given(st.lists(st.text(CHARACTERS, max_size=30), min_size=1, max_size=4), st.integers(1, 3),
       st.none() | st.tuples(st.integers(1, 4), st.integers(0, 4)), st.sampled_from([2, 32, 2**21]))
def test_compiled_code_counts_as_scikit_learn(texts, longest, lengths, n_buckets):
    hasher = NgramHasher(longest, lengths and (lengths[0], sum(lengths)), n_buckets)
    texts = [ngrams._encodable(text) for text in texts]  # as counts() does first
    counted = [hasher._counts_by_compiled_code(texts), hasher._counts_by_sklearn(texts)]
    for name in ("data", "indices", "indptr"):
        ours, theirs = (getattr(one, name) for one in counted)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_counts_do_not_depend_on_how_many_texts_are_counted_at_once(monkeypatch):
    together = HASHER.counts(TEXTS)
    monkeypatch.setattr(ngrams, "N_AT_ONCE", 2)
    assert (HASHER.counts(TEXTS) != together).nnz == 0


def test_both_families_have_length_one():
    rows = tfidf(HASHER.counts(TEXTS), inverse_document_frequency(HASHER.counts(TEXTS)))
    for part in (rows[:, : HASHER.half], rows[:, HASHER.half:]):
        lengths = np.sqrt(part.multiply(part).sum(axis=1))
        np.testing.assert_allclose(np.asarray(lengths)[:, 0], [1, 1, 1, 0, 1, 1], rtol=1e-6)


def test_a_lone_surrogate_is_a_question_mark():
    assert (HASHER.counts(["a \ud800 b"]) != HASHER.counts(["a ? b"])).nnz == 0
    assert [one.ngram for one in HASHER.ngrams("\ud800")] == [one.ngram for one in HASHER.ngrams("?")]


@pytest.mark.parametrize("n_buckets", [0, 1, 3, 1000])
def test_the_number_of_buckets_is_a_power_of_two(n_buckets):
    with pytest.raises(ValueError, match="power of two"):
        NgramHasher(2, (2, 5), n_buckets)


def test_weights_may_overwrite_the_counts():
    counts = HASHER.counts(TEXTS)
    idf = inverse_document_frequency(HASHER.counts(TEXTS[:2]))
    kept = tfidf(counts, idf)
    assert (counts != HASHER.counts(TEXTS)).nnz == 0
    assert (tfidf(counts, idf, overwrite=True) != kept).nnz == 0
    assert (counts != kept).nnz == 0


def test_frequencies_and_new_numbers_of_columns_are_computed_in_parts(monkeypatch):
    monkeypatch.setattr(ngrams, "ENTRIES_AT_ONCE", 3)
    counts = NgramHasher(2, (2, 5), 2**10).counts(TEXTS)
    frequency = frequency_of_columns(counts)
    assert frequency.tolist() == (counts.toarray() > 0).sum(axis=0).tolist()
    used = np.flatnonzero(frequency)
    numbers = np.zeros(counts.shape[1], dtype=np.int32)
    numbers[used] = np.arange(len(used))[::-1]
    expected = counts[:, used[::-1]].toarray()
    assert np.array_equal(renumber_columns(counts, numbers, len(used)).toarray(), expected)


@pytest.mark.parametrize(("at_once", "characters"), [(2, 1000), (100, 20), (100, 1)])
def test_counts_do_not_depend_on_how_many_texts_are_counted_together(monkeypatch, at_once, characters):
    expected = HASHER.counts(TEXTS)
    monkeypatch.setattr(ngrams, "N_AT_ONCE", at_once)
    monkeypatch.setattr(ngrams, "MAX_CHARACTERS", characters)
    assert (HASHER.counts(TEXTS) != expected).nnz == 0
    assert HASHER.counts([]).shape == (0, HASHER.buckets)
