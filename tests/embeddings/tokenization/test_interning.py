"""Token interning: compiled code and Python give the same result."""

import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embeddings import WordTokenizer
from embeddings.tokenization import native
from embeddings.tokenization.interning import PythonInterner, token_interner

needs_library = pytest.mark.skipif(not native.available(), reason="not built here")
plain = st.text(st.characters(max_codepoint=127)) | st.text(st.sampled_from("n't'sdlrevm_ .,09aZ\t-"))
mixed = st.text(st.sampled_from("n't £é 中9.,a") | st.characters(max_codepoint=127))


def test_library_is_built_if_there_is_a_compiler():
    """The installation ignores a failed build; this test does not."""
    if shutil.which("g++"):
        assert native.available()


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
@pytest.mark.parametrize("source", ["", f"long long vecformer_abi(void) {{ return {native.ABI_VERSION + 1}; }}"],
                         ids=["no symbol", "other version"])
def test_stale_library_is_refused(source, tmp_path, monkeypatch, caplog):
    library = tmp_path / "stale.so"
    (tmp_path / "stale.c").write_text(source + "\nvoid *vecformer_vocabulary_new(void) { __builtin_trap(); }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "stale.c"], check=True)
    monkeypatch.setattr(native, "FILE", library)
    native._library.cache_clear()
    try:
        assert not native.available()
        assert isinstance(token_interner(["a"]), PythonInterner)
    finally:
        native._library.cache_clear()
    (warning,) = (record.getMessage() for record in caplog.records)
    assert warning.startswith(str(library))
    assert "run `pip install -e .` again" in warning


def words_of(numbers, ids):
    return [numbers[i] for i in ids]


@needs_library
@settings(max_examples=400)
@given(st.lists(plain, max_size=4))
@example(["don't n't xn'ts can't've", "'s 'save 'll'd", "1,000.5. 3rd 4.x 5,", "a_1n't n'tn't nn't", "\x00a\x7fb\x1c"])
def test_compiled_tokenization_equals_the_pattern(texts):
    compiled, python = native.NativeInterner(), PythonInterner()
    for ids, expected in zip(compiled.tokenize(texts), python.tokenize(texts), strict=True):
        assert ids.tolist() == expected.tolist()
        assert ids.dtype == np.int32
    assert words_of(compiled, range(len(compiled))) == words_of(python, range(len(python)))


@pytest.mark.parametrize("make", [pytest.param(native.NativeInterner, marks=needs_library), PythonInterner])
@given(st.lists(st.text()))
def test_new_word_gets_the_next_id(make, words):
    numbers, distinct = make(), list(dict.fromkeys(words))
    assert words_of(numbers, numbers.intern(words)) == words
    assert words_of(numbers, range(len(numbers))) == distinct
    assert numbers.intern(distinct).tolist() == list(range(len(distinct)))


@needs_library
def test_many_words():
    words = [f"w{i}" for i in range(50_000)]
    numbers = token_interner(words)
    assert isinstance(numbers, native.NativeInterner)
    assert len(numbers) == len(words)
    assert numbers.tokenize([" ".join(reversed(words))])[0].tolist() == list(range(len(words)))[::-1]


@given(st.lists(mixed | st.lists(st.text(max_size=3), max_size=4), max_size=4), st.booleans())
def test_tokenizer_interns_its_words(texts, compiled):
    tokenizer = WordTokenizer(["known"])
    numbers = token_interner(["known"]) if compiled else PythonInterner()
    for text, ids in zip(texts, tokenizer.intern(texts, numbers), strict=True):
        assert words_of(numbers, ids) == tokenizer.words(text)


def test_cached_encodings_are_reused():
    tokenizer = WordTokenizer(["cat"])
    tokenizer.cache_encodings({"cat dog": np.array([7, 8], np.int32), ("the", "cat"): np.array([9], np.int32)})
    assert [ids.tolist() for ids in tokenizer.encode(["cat dog", "cat"], max_length=1)] == [[7], [5]]
    assert [ids.tolist() for ids in tokenizer.encode([["the", "cat"], ["the"]])] == [[9], [1]]
