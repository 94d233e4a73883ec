"""Tokenizers that are trained like that of a checkpoint, and trimmed ones."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_tokenizers import ALL, TEXTS, byte_level, metaspace_bpe, roberta, unigram, wordpiece

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.tokenization.tokenizer_training import NewTokenizer, kind_of, parse_new_tokenizer, train_like
from embeddings.transplant.trim import encoded, trimmed

SIZES = {"wordpiece": 80, "bpe": 290, "unigram": 70}


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("like", ALL)
def test_training_like_a_checkpoint(like, kind):
    old, size = ALL[like](), SIZES[kind] + 60 * (like == "metaspace-bpe")
    made = train_like(old, TEXTS, NewTokenizer(kind, size))
    assert kind_of(made) == kind
    assert made.get_vocab_size() <= size
    special = [token.content for _, token in sorted(old.get_added_tokens_decoder().items())]
    assert [made.id_to_token(i) for i in range(len(special))] == special
    before, after = (one.encode("the dog ran") for one in (old, made))
    marks = [name for name in before.tokens if name in special]
    assert [name for name in after.tokens if name in special] == marks
    assert after.ids == [made.token_to_id(name) for name in after.tokens]
    assert made.decode(after.ids).strip() == "the dog ran"
    assert "[UNK]" not in after.tokens
    again = train_like(old, TEXTS, NewTokenizer(kind, size))
    assert again.to_str() == made.to_str()


def test_options_of_the_checkpoint_are_kept():
    made = train_like(roberta(), TEXTS, NewTokenizer("bpe", 300))
    assert made.get_added_tokens_decoder()[4].lstrip
    made = train_like(wordpiece(), TEXTS, NewTokenizer("wordpiece", 80))
    assert made.encode("GRÖSSERE").tokens == made.encode("grossere").tokens
    assert json.loads(made.to_str())["truncation"]["max_length"] == 8


def test_bytes_are_kept_and_no_token_contains_two_words():
    made = train_like(metaspace_bpe(), TEXTS, NewTokenizer("bpe", 400))
    names = list(made.get_vocab())
    assert {f"<0x{byte:02X}>" for byte in range(256)} <= set(names)
    assert max(name.count("▁") for name in names) == 1
    assert made.encode("the 猫", add_special_tokens=False).tokens[-3:] == ["<0xE7>", "<0x8C>", "<0xAB>"]
    assert made.decode(made.encode("the dog ran").ids) == "the dog ran"


def test_specifications():
    assert parse_new_tokenizer("wordpiece") == NewTokenizer("wordpiece", 8000)
    assert parse_new_tokenizer("bpe,size=400") == NewTokenizer("bpe", 400)
    with pytest.raises(SpecificationError, match="Did you mean 'wordpiece'"):
        parse_new_tokenizer("wordpeice")
    with pytest.raises(SpecificationError, match="size=x"):
        parse_new_tokenizer("bpe,size=x")
    with pytest.raises(SpecificationError, match="has no option 'sise'"):
        parse_new_tokenizer("bpe,sise=4")


def test_mistakes_in_training():
    with pytest.raises(EmbeddingError, match="6 special tokens"):
        train_like(wordpiece(), TEXTS, NewTokenizer("wordpiece", 6))
    with pytest.raises(EmbeddingError, match="contains no token"):
        train_like(wordpiece(), [], NewTokenizer("wordpiece", 60))


SOME = ["the cat ran", "Hunde schliefen, später", "", "ünbekannt 猫"]


@pytest.mark.parametrize("kind", ALL)
def test_trimming_leaves_the_encoding_of_the_text_unchanged(kind):
    old = ALL[kind]()
    made, origins = trimmed(old, lambda: SOME)
    assert len(origins) == made.get_vocab_size() < old.get_vocab_size()
    assert origins.tolist() == sorted(origins)
    assert [made.id_to_token(i) for i in range(len(origins))] == [old.id_to_token(i) for i in origins]
    for before, after in zip(encoded(old, SOME), encoded(made, SOME), strict=True):
        assert origins[after].tolist() == before
    assert made.decode(made.encode("rug").ids) == "rug"  # from characters
    assert json.loads(made.to_str())["truncation"] == json.loads(old.to_str())["truncation"]


@given(st.lists(st.lists(st.sampled_from(" ".join(TEXTS[:4]).split()), min_size=1).map(" ".join), min_size=1),
       st.sampled_from(sorted(ALL)))
def test_trimming_any_text(texts, kind):
    old = TOKENIZERS[kind]
    made, origins = trimmed(old, lambda: texts)
    for text in texts:
        assert np.array_equal(origins[made.encode(text, add_special_tokens=False).ids],
                              old.encode(text, add_special_tokens=False).ids)


TOKENIZERS = {kind: make() for kind, make in ALL.items()}
TOKENIZERS["wordpiece"].no_truncation()
TOKENIZERS["wordpiece"].no_padding()


def test_a_text_whose_encoding_would_change_is_refused(monkeypatch):
    from embeddings.transplant import trim

    monkeypatch.setattr(trim, "_merges_of", lambda *_: [])
    with pytest.raises(EmbeddingError, match="splits 'the cat' differently"):
        trimmed(byte_level(), lambda: ["the cat"])


def test_no_text():
    with pytest.raises(EmbeddingError, match="contains no token"):
        trimmed(byte_level(), lambda: [""])
    with pytest.raises(EmbeddingError, match="contains no token"):
        trimmed(unigram(), list)
