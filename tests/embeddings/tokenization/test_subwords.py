"""Subword tokenizers: equality with the library, ids, positions, training."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from subword_samples import SENTENCEPIECE, TEXTS, made
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from embeddings.errors import SpecificationError
from embeddings.special_tokens import N_SPECIAL, SPECIAL_TOKENS, UNK_ID
from embeddings.tokenization.interning import token_interner
from embeddings.tokenization.subword_training import KINDS, parse_kind, train_subwords
from embeddings.tokenization.subwords import SubwordTokenizer
from embeddings.tokenization.token_text import byte_characters, notation_of

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", params=[*sorted(KINDS), SENTENCEPIECE])
def tokenizer(request):
    return made(request.param)


texts = st.text(st.sampled_from("abehlstTE ẹ́ì.,<>/s[]#\n\t\ud800😀"), max_size=40)


def test_ids_begin_with_the_special_tokens(tokenizer):
    assert tokenizer.vocabulary()[:N_SPECIAL] == SPECIAL_TOKENS
    assert len(tokenizer) == len(set(tokenizer.vocabulary())) == tokenizer.backend.get_vocab_size()


@settings(max_examples=60, deadline=None)
@given(text=texts)
def test_tokens_are_those_of_the_library(tokenizer, text):
    """Special tokens in the text become unknown or are split; none of them can be produced."""
    ids = tokenizer.encode([text])[0]
    theirs = tokenizer.backend.encode(text.encode(errors="replace").decode(), add_special_tokens=False)
    assert len(ids) == len(theirs.ids)
    special = {tokenizer.backend.token_to_id(token) for token in SPECIAL_TOKENS}
    for ours, number in zip(ids.tolist(), theirs.ids, strict=True):
        assert ours == UNK_ID if number in special else tokenizer.file_ids[ours] == number
    assert tokenizer.words(text) == [tokenizer.vocabulary()[number] for number in ids]
    assert [span.word for span in tokenizer.spans(text)] == tokenizer.words(text)


@settings(max_examples=60, deadline=None)
@given(text=texts)
def test_positions_lie_in_the_text_in_order(tokenizer, text):
    spans = tokenizer.spans(text)
    assert all(0 <= span.start <= span.end <= len(text) for span in spans)
    assert all(one.start <= other.start for one, other in pairwise(spans))


def test_positions_of_a_sentence():
    tokenizer = made("wordpiece")
    text = "The  tester, again"
    assert [(span.word, span.start, span.end) for span in tokenizer.spans(text)] == [
        ("the", 0, 3), ("tester", 5, 11), (",", 11, 12), ("again", 13, 18)]


words = st.lists(st.text(st.sampled_from("abehlst.,ẹ<>"), min_size=1, max_size=8), max_size=8)


@settings(max_examples=60, deadline=None)
@given(words=words)
def test_words_that_are_split_already_have_the_tokens_of_the_joined_text(tokenizer, words):
    (pieces,) = tokenizer.encode_words([words])
    whole = tokenizer.encode([" ".join(words)])[0]
    assert whole.tolist() == tokenizer.encode([words])[0].tolist()
    assert [i for i in pieces.ids.tolist() if i != UNK_ID] == [i for i in whole.tolist() if i != UNK_ID]
    assert (np.diff(pieces.words) >= 0).all()
    assert sorted(set(pieces.words.tolist())) == list(range(len(words)))
    assert pieces.words[pieces.first()].tolist() == list(range(len(words)))


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.text(st.sampled_from("abehlst"), min_size=1, max_size=8), max_size=8))
def test_the_tokens_of_a_word_are_those_of_the_word_alone(tokenizer, words):
    (pieces,) = tokenizer.encode_words([words])
    of_each = [pieces.ids[pieces.words == number].tolist() for number in range(len(words))]
    assert of_each == [ids.tolist() for ids in tokenizer.encode(words)]
    assert tokenizer.begins_words(pieces.ids)[pieces.first()].all()


def test_a_word_without_tokens_is_unknown():
    (pieces,) = made("wordpiece").encode_words([["the", "\u200d", "box"]])
    assert pieces.words.tolist() == [0, 1, 2]
    assert pieces.ids[1] == UNK_ID
    assert [len(part.ids) for part in made("wordpiece").encode_words([[], ["the"]])] == [0, 1]


def test_every_word_has_a_token(tokenizer):
    given_words = ["The", "tester's", "box", ".", "again"]
    assert sorted(set(tokenizer.encode_words([given_words])[0].words.tolist())) == [0, 1, 2, 3, 4]


def test_a_saved_tokenizer_is_equal(tokenizer, tmp_path):
    counted = tokenizer.with_vocabulary({token: i for i, token in enumerate(tokenizer.vocabulary()[N_SPECIAL:])})
    counted.save(tmp_path / "tokenizer.json")
    loaded = SubwordTokenizer.from_json((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert loaded.vocabulary() == tokenizer.vocabulary()
    assert loaded.counts == counted.counts
    assert [ids.tolist() for ids in loaded.encode(TEXTS)] == [ids.tolist() for ids in tokenizer.encode(TEXTS)]
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).get_vocab() == tokenizer.backend.get_vocab()


def test_interned_ids_are_those_of_the_vocabulary(tokenizer):
    interner = token_interner(tokenizer.vocabulary())
    found = tokenizer.intern(TEXTS, interner)
    assert [ids.tolist() for ids in found] == [ids.tolist() for ids in tokenizer.encode(TEXTS)]
    assert len(interner) == len(tokenizer)


def test_decoding_restores_the_text(tokenizer):
    text = "the box was broken"
    assert tokenizer.decode(tokenizer.encode([text])[0].tolist()).strip() == text


@pytest.mark.parametrize("name", KINDS)
def test_training_is_repeatable(name):
    first = made(name).to_json()
    assert all(made(name).to_json() == first for _ in range(5))


def test_trained_wordpiece_has_the_frequent_words_whole():
    tokenizer = train_subwords(parse_kind("wordpiece,size=300"), TEXTS)
    assert tokenizer.words("the parcel, again!") == ["the", "parcel", ",", "again", "<unk>"]
    assert {"t", "##t", "b", "##b"} <= set(tokenizer.vocabulary())


def test_other_tokens_are_refused(tokenizer):
    with pytest.raises(ValueError, match="other tokens"):
        tokenizer.with_vocabulary(["a"])


def test_a_wrong_option_names_those_that_there_are():
    with pytest.raises(SpecificationError, match=r"no option .sise.*size"):
        parse_kind("bpe,sise=300")
    assert parse_kind("some-package") is None


@pytest.mark.parametrize("name, token, expected", [
    ("wordpiece", "##ing", ("ing", False)), ("wordpiece", "ing", ("ing", True)),
    ("wordpiece", "##", ("##", True)), ("bpe", "Ġthe", ("the", True)),
    ("bpe", "the", ("the", False)), ("bpe", "Ã©", ("é", False)),
    ("unigram", "▁the", ("the", True)), ("unigram", "the", ("the", False)),
])
def test_the_text_of_a_token(name, token, expected):
    read = notation_of(made(name).backend).token(token)
    assert (read.text, read.begins_word) == expected


def test_the_characters_of_bytes_are_those_of_the_library():
    assert set(byte_characters()) == set(ByteLevel.alphabet())
    assert sorted(byte_characters().values()) == list(range(256))


def test_case_and_accents_of_the_word_tokenizer():
    plain = train_subwords(parse_kind("wordpiece,size=300"), TEXTS, lowercase=True, strip_accents=True)
    kept = train_subwords(parse_kind("wordpiece,size=300"), TEXTS, lowercase=False)
    assert plain.word_tokenizer().words("Été") == ["ete"]
    assert kept.word_tokenizer().words("Été") == ["Été"]


IN_ANOTHER_PROCESS = """
import sys
from embeddings.tokenization.subword_training import parse_kind, train_subwords
print(train_subwords(parse_kind(sys.argv[1]), sys.stdin.read().splitlines()).to_json())
"""


@pytest.mark.parametrize("name", KINDS)
def test_training_is_repeatable_in_other_processes(name):
    """The library's hash tables, and those of Python, have another order in each process."""
    text = "\n".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("sources.md", "training.md"))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONHASHSEED"}
    found = {subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS, f"{name},size=700"], input=text, text=True,
                            capture_output=True, check=True, env=environment, cwd=ROOT).stdout for _ in range(5)}
    assert len(found) == 1
    assert 650 < len(json.loads(found.pop())["model"]["vocab"]) <= 700
