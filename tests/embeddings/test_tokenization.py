import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import WordTokenizer
from embeddings.errors import EmbeddingError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat's hat.", ["the", "cat", "'s", "hat", "."]),
        ("I don’t think they’ll go", ["i", "do", "n't", "think", "they", "'ll", "go"]),
        ("£27.5bn, up 1,000", ["£", "27.5", "bn", ",", "up", "1,000"]),
        ("東京へ行く", list("東京へ行く")),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("so good 👍!", ["so", "good", "👍", "!"]),
        ("cafe\u0301", ["café"]),
        (" \n\t", []),
    ],
)
def test_words(text, words):
    assert WordTokenizer().words(text) == words


def test_case_is_kept_when_asked():
    assert WordTokenizer(lowercase=False).words("The Cat") == ["The", "Cat"]


@given(st.text())
def test_nothing_visible_is_lost(text):
    kept = "".join(WordTokenizer(lowercase=False).words(text))
    visible = unicodedata.normalize("NFC", text).replace("’", "'")
    assert "".join(kept.split()) == "".join(c for c in visible if not c.isspace() and c not in "\x1c\x1d\x1e\x1f\x85")


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_ids_stand_for_the_words(texts):
    cutter = WordTokenizer()
    tokenizer = cutter.with_vocabulary(cutter.count(texts))
    vocabulary = tokenizer.vocabulary()
    for text, ids in zip(texts, tokenizer.encode(texts), strict=True):
        assert [vocabulary[i] for i in ids] == cutter.words(text)
        assert ids.dtype == np.int32


def test_unknown_words_and_cut():
    tokenizer = WordTokenizer(["cat"])
    assert tokenizer.encode(["cat dog cat"])[0].tolist() == [2, 1, 2]
    assert tokenizer.encode(["cat dog cat"], max_length=2)[0].tolist() == [2, 1]


@given(st.text())
def test_special_words_cannot_be_written(text):
    ids = WordTokenizer(["a"]).encode([f"{text}<pad>{text}"])[0]
    assert 0 not in ids


def test_save_and_load(tmp_path):
    tokenizer = WordTokenizer(["Cat", "Hut"], lowercase=False)
    tokenizer.save(tmp_path / "tokenizer.json")
    read = WordTokenizer.load(tmp_path / "tokenizer.json")
    assert read.vocabulary() == tokenizer.vocabulary() == ("<pad>", "<unk>", "Cat", "Hut")
    assert read.lowercase is False
    assert read.encode(["Cat cat"])[0].tolist() == [2, 1]


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(EmbeddingError, match=r"tokenizer\.json: not a tokenizer"):
        WordTokenizer.load(tmp_path / "tokenizer.json")


@given(st.text(min_size=1, max_size=6))
def test_can_produce_agrees_with_cutting(word):
    assert WordTokenizer().can_produce(word) == (WordTokenizer().words(word) == [word])
