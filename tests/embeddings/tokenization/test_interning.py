"""Numbers for words met while reading: compiled code and Python cut and number alike."""

import shutil

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embeddings import WordTokenizer
from embeddings.tokenization import native
from embeddings.tokenization.interning import PythonInterner, token_interner

needs_it = pytest.mark.skipif(not native.available(), reason="not built here")
plain = st.text(st.characters(max_codepoint=127)) | st.text(st.sampled_from("n't'sdlrevm_ .,09aZ\t-"))
mixed = st.text(st.sampled_from("n't £é 中9.,a") | st.characters(max_codepoint=127))


def test_it_is_built_where_it_can_be():
    """A build that fails is passed over by the installation, and must not be by the tests."""
    if shutil.which("g++"):
        assert native.available()


def words_of(numbers, ids):
    return [numbers[i] for i in ids]


@needs_it
@settings(max_examples=400)
@given(st.lists(plain, max_size=4))
@example(["don't n't xn'ts can't've", "'s 'save 'll'd", "1,000.5. 3rd 4.x 5,", "a_1n't n'tn't nn't", "\x00a\x7fb\x1c"])
def test_compiled_code_cuts_as_the_pattern_does(texts):
    compiled, python = native.NativeInterner(), PythonInterner()
    for ids, expected in zip(compiled.tokenize(texts), python.tokenize(texts), strict=True):
        assert ids.tolist() == expected.tolist()
        assert ids.dtype == np.int32
    assert words_of(compiled, range(len(compiled))) == words_of(python, range(len(python)))


@pytest.mark.parametrize("make", [pytest.param(native.NativeInterner, marks=needs_it), PythonInterner])
@given(st.lists(st.text()))
def test_a_word_has_one_number_and_a_new_one_the_next(make, words):
    numbers, distinct = make(), list(dict.fromkeys(words))
    assert words_of(numbers, numbers.intern(words)) == words
    assert words_of(numbers, range(len(numbers))) == distinct
    assert numbers.intern(distinct).tolist() == list(range(len(distinct)))


@needs_it
def test_many_words():
    words = [f"w{i}" for i in range(50_000)]
    numbers = token_interner(words)
    assert isinstance(numbers, native.NativeInterner)
    assert len(numbers) == len(words)
    assert numbers.tokenize([" ".join(reversed(words))])[0].tolist() == list(range(len(words)))[::-1]


@given(st.lists(mixed | st.lists(st.text(max_size=3), max_size=4), max_size=4), st.booleans())
def test_a_tokenizer_numbers_the_words_that_it_cuts(texts, compiled):
    tokenizer = WordTokenizer(["known"])
    numbers = token_interner(["known"]) if compiled else PythonInterner()
    for text, ids in zip(texts, tokenizer.intern(texts, numbers), strict=True):
        assert words_of(numbers, ids) == tokenizer.words(text)


def test_what_is_remembered_is_not_cut_again():
    tokenizer = WordTokenizer(["cat"])
    tokenizer.cache_encodings({"cat dog": np.array([7, 8], np.int32), ("the", "cat"): np.array([9], np.int32)})
    assert [ids.tolist() for ids in tokenizer.encode(["cat dog", "cat"], max_length=1)] == [[7], [5]]
    assert [ids.tolist() for ids in tokenizer.encode([["the", "cat"], ["the"]])] == [[9], [1]]
