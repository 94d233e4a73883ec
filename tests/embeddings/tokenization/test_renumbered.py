"""The ``tokenizer.json`` of exported subword models: its ids are the rows of the embedding matrix."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from subword_samples import TEXTS, made
from tokenizers import Tokenizer, models, pre_tokenizers

from embeddings.errors import EmbeddingError
from embeddings.special_tokens import END, MASK, N_SPECIAL, PAD, SPECIAL_TOKENS, START, UNK
from embeddings.tokenization.renumbered import renumbered_json
from embeddings.tokenization.subwords import SubwordTokenizer

OTHERS = {PAD: "[PAD]", UNK: "[UNK]", START: "[CLS]", END: "[SEP]", MASK: "[MASK]"}


def as_of_others(tokenizer, lacking=()):
    """Return a tokenizer with BERT's names at the end of its vocabulary, without some of them."""
    described = json.loads(tokenizer.backend.to_str())
    model, tokens = described["model"], [*tokenizer.vocabulary()[N_SPECIAL:], *(
        theirs for ours, theirs in OTHERS.items() if ours not in lacking)]
    if model["type"] == "Unigram":
        scores = dict(map(tuple, model["vocab"]))
        model["vocab"] = [[token, scores.get(token, 0.0)] for token in tokens]
        model["unk_id"] = tokens.index("[UNK]")
    else:
        model["vocab"] = {token: row for row, token in enumerate(tokens)}
        model["unk_token"] = "[UNK]" if model["type"] == "WordPiece" else None
    described["added_tokens"] = [
        {"id": tokens.index(token), "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": token.startswith("[")}
        for token in [*OTHERS.values(), "box"] if token in tokens]
    return SubwordTokenizer.from_json(json.dumps(described))


CASES = {
    "as trained": lambda name: made(name),
    "names of BERT": lambda name: as_of_others(made(name)),
    "without three of them": lambda name: as_of_others(made(name), lacking=(PAD, START, MASK)),
}


@pytest.fixture(scope="module", params=["wordpiece", "bpe", "unigram"])
def name(request):
    return request.param


@pytest.fixture(scope="module", params=CASES)
def pair(request, name):
    """A tokenizer, and the library's that reads its file."""
    tokenizer = CASES[request.param](name)
    return tokenizer, Tokenizer.from_str(renumbered_json(tokenizer))


def test_ids_are_those_of_the_run(pair):
    tokenizer, theirs = pair
    ids = theirs.get_vocab()
    assert [ids[token] for token in tokenizer.vocabulary()] == list(range(len(tokenizer)))
    assert len(ids) == len(tokenizer)
    assert [theirs.token_to_id(token) for token in SPECIAL_TOKENS] == list(range(N_SPECIAL))


@settings(max_examples=60, deadline=None)
@given(text=st.one_of(st.sampled_from(TEXTS), st.text(st.sampled_from("abehlstTEox .,'0\u1eb9\u00ec\n\U0001F600"),
                                                      max_size=40)))
def test_texts_have_the_same_ids(pair, text):
    tokenizer, theirs = pair
    assert theirs.encode(text).ids == tokenizer.encode([text])[0].tolist()


@pytest.mark.parametrize("name", ["wordpiece", "bpe"])
def test_special_tokens_in_a_text_are_text(name):
    tokenizer = as_of_others(made(name))
    text = "the [SEP] of </s> box"
    ids = Tokenizer.from_str(renumbered_json(tokenizer)).encode(text).ids
    assert ids == tokenizer.encode([text])[0].tolist()
    assert not {0, 2, 3, 4} & set(ids)


def test_another_model_is_refused():
    class Other(SubwordTokenizer):
        backend = type("Backend", (), {"to_str": lambda self: '{"model": {"type": "Odd"}, "added_tokens": []}'})()

    plain = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(EmbeddingError, match="whose model is Odd cannot be exported; use WordPiece"):
        renumbered_json(Other(plain))
