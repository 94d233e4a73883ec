"""Nearest neighbours equal gensim's and brute force; out-of-vocabulary words are found by the policy."""

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st

import embeddings.analysis.neighbors
from embeddings import EmbeddingTable, load_vectors
from embeddings.analysis.neighbors import Neighborhood, nearest_rows
from embeddings.errors import EmbeddingError
from embeddings.table.oov_composers import NgramVectors
from embeddings.table.oov_policy import OOVPolicy


@pytest.fixture(scope="module")
def glove():
    return load_vectors("glove,limit=20000")


@pytest.fixture(scope="module")
def peer(glove):
    made = KeyedVectors(glove.dim)
    made.add_vectors(list(glove.words), glove.vectors)
    return made


def assert_same(ours, theirs):
    assert [one.word for one in ours] == [word for word, _ in theirs]
    assert [one.similarity for one in ours] == pytest.approx([value for _, value in theirs], abs=1e-5)


@pytest.mark.parametrize("words", [["bank"], ["the"], ["new", "york"], ["good", "bad", "film"]])
def test_words_and_phrases_equal_gensim(glove, peer, words):
    answer = Neighborhood(glove).of_words(words, 25)
    assert_same(answer.neighbors, peer.most_similar(positive=words, topn=25))
    assert answer.asked == dict.fromkeys(words, "exact")


@pytest.mark.parametrize(("a", "b", "c"), [("man", "king", "woman"), ("france", "paris", "italy"),
                                            ("go", "went", "go")])
def test_analogies_equal_gensim(glove, peer, a, b, c):
    assert_same(Neighborhood(glove).analogy(a, b, c, 8).neighbors,
                peer.most_similar(positive=[b, c], negative=[a], topn=8))


def test_neighbors_of_a_vector_equal_gensim(glove, peer):
    point = np.linspace(-1, 1, glove.dim, dtype=np.float32)
    assert_same(Neighborhood(glove).of_vector(point), peer.similar_by_vector(point))


@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 9), st.integers(0, 9999), st.integers(1, 8))
def test_blocks_equal_brute_force(n_words, n_queries, n, seed, block):
    random = np.random.default_rng(seed)
    vectors = random.integers(-2, 3, (n_words, 3)).astype(np.float32)  # with ties and zeros
    queries = random.standard_normal((n_queries, 3)).astype(np.float32)
    refused = random.random((n_queries, n_words)) < 0.2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embeddings.analysis.neighbors, "ROWS_PER_BLOCK", block)
        patch.setattr(embeddings.analysis.neighbors, "QUERIES_PER_BLOCK", 2)
        rows, similarity = nearest_rows(vectors, queries, n, without=np.nonzero(refused))
    lengths = np.linalg.norm(vectors, axis=1)
    scores = queries @ vectors.T / np.where(lengths > 0, lengths, 1) / np.linalg.norm(queries, axis=1)[:, None]
    scores[refused] = -np.inf
    found = min(n, n_words)
    assert np.allclose(similarity[:, :found], -np.sort(-scores, axis=1)[:, :found], atol=1e-5)
    assert np.isneginf(similarity[:, found:]).all()
    there = np.isfinite(similarity)
    assert np.allclose(np.take_along_axis(scores, rows % n_words, axis=1)[there], similarity[there], atol=1e-5)
    for query in range(n_queries):
        assert len(set(rows[query][there[query]])) == there[query].sum()


def test_word_in_another_case_is_found_and_excluded(glove):
    answer = Neighborhood(glove).of_words(["Paris"], 5)
    assert answer.asked == {"Paris": "folded"}
    assert answer.neighbors == Neighborhood(glove).of_words(["paris"], 5).neighbors


def test_oov_word_is_composed_or_matched_by_spelling():
    ngrams = NgramVectors(np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32), 3, 5)
    words = ["running", "walking", "swimming"]
    table = EmbeddingTable(tuple(words), np.eye(3, 4, dtype=np.float32), ("exact",) * 3, "drawn", composer=ngrams)
    answer = Neighborhood(table).of_words(["jumping"])
    assert answer.asked == {"jumping": "subword"}
    assert len(answer.neighbors) == 3
    spelt = Neighborhood(table, OOVPolicy(("spelling",))).of_words(["runing"])
    assert spelt.asked == {"runing": "spelling"}


def test_phrase_uses_its_row_or_the_mean_of_its_words():
    table = EmbeddingTable.known(["new york", "new", "york", "x"], np.eye(4, dtype=np.float32), "drawn")
    assert list(Neighborhood(table).of_phrase("new york").asked) == ["new york"]
    assert list(Neighborhood(table).of_phrase("york new").asked) == ["york", "new"]


def test_missing_rows_are_no_neighbors():
    table = EmbeddingTable(("a", "b", "c"), -np.eye(3, dtype=np.float32), ("exact", "missing", "exact"), "drawn")
    assert [one.word for one in Neighborhood(table).of_vector(np.ones(3, np.float32))] == ["a", "c"]


@pytest.mark.parametrize(("phrase", "message"), [("parisss", "no vector for 'parisss'. Did you mean 'paris'?"),
                                                 (" ", "no word given")])
def test_missing_word_is_an_error(glove, phrase, message):
    with pytest.raises(EmbeddingError) as caught:
        Neighborhood(glove).of_phrase(phrase)
    assert message in str(caught.value)
