"""Canonical tokens, shared tokens of tokenizers of different kinds, pieces, and static vectors of tokens."""

import numpy as np
import pytest
from tiny_tokenizers import ALL, TEXTS, byte_level, unigram, wordpiece

from embeddings import EmbeddingTable, load_vectors
from embeddings.errors import EmbeddingError
from embeddings.tokenization.token_text import notation_of
from embeddings.transplant import Token, Vocabulary, shared_rows, tokens_of, words_as_tokens
from embeddings.transplant.dictionary import aligned, read_dictionary
from embeddings.transplant.pieces import checkpoint_vocabulary
from embeddings.transplant.static_vectors import token_vectors


def find(tokens, name):
    return next(token for token in tokens if token.name == name)


def test_canonical_forms_of_the_three_notations():
    assert find(tokens_of(wordpiece()), "##e")[1:] == ("e", False, False)
    assert find(tokens_of(wordpiece()), "the")[1:] == ("the", True, False)
    assert find(tokens_of(wordpiece()), "[CLS]").is_special
    assert find(tokens_of(byte_level()), "Ġthe")[1:] == ("the", True, False)
    assert find(tokens_of(byte_level()), "e")[1:] == ("e", False, False)
    assert find(tokens_of(byte_level()), "Ã").text is None  # the first byte of a letter
    assert find(tokens_of(byte_level(size=600)), "GrÃ¶ÃŁere").text == "Größere"
    assert find(tokens_of(unigram()), "▁dog")[1:] == ("dog", True, False)
    assert find(tokens_of(unigram()), "e")[1:] == ("e", False, False)


@pytest.mark.parametrize("kind", ALL)
def test_the_name_of_a_token_follows_from_its_canonical_form(kind):
    tokenizer = ALL[kind]()
    notation = notation_of(tokenizer)
    for token in tokens_of(tokenizer):
        if token.text and not token.is_special and token.name != notation.mark:
            assert notation.name(token.text, begins_word=token.begins_word) == token.name


def test_rows_without_a_token():
    tokens = tokens_of(wordpiece(), 200)
    assert len(tokens) == 200
    assert tokens[-1].text is None
    assert len({token.name for token in tokens}) == 200


@pytest.mark.parametrize("old", ALL)
@pytest.mark.parametrize("new", ALL)
def test_tokens_are_shared_across_notations(old, new):
    old, new = checkpoint_vocabulary(ALL[old](), 600), Vocabulary(tokens_of(ALL[new]()))
    shared = {token.name: None if row < 0 else old.tokens[row]
              for token, row in zip(new.tokens, shared_rows(old, new), strict=True)}
    pairs = [(find(new.tokens, name), other) for name, other in shared.items() if other]
    assert any(token.text == "on" and token.begins_word for token, _ in pairs)
    assert any(token.text == "," for token, _ in pairs)
    for token, other in pairs:
        if token.is_special:
            continue
        assert other.text in (token.text, *([] if token.text is None else [old.normalize(token.text)]))
        assert other.begins_word == token.begins_word or not any(map(str.isalnum, token.text))


def test_special_tokens_are_shared_by_name_and_role():
    old = Vocabulary(words_as_tokens((), ("<s>", "<pad>", "</s>", "<unk>", "<mask>")))
    new = Vocabulary(words_as_tokens(("<s>",), ("[PAD]", "[CLS]", "[SEP]", "<extra>")))
    assert shared_rows(old, new).tolist() == [1, 0, 2, -1, -1]


def test_the_normaliser_of_an_uncased_checkpoint_is_applied():
    old = checkpoint_vocabulary(wordpiece(), 120)
    new = Vocabulary((Token("Cat", "Cat"), Token("DOGS", "DOGS")))
    assert [old.tokens[row].name for row in shared_rows(old, new)] == ["cat", "dogs"]


@pytest.mark.parametrize("kind", ALL)
def test_pieces_of_a_word_and_of_a_continuation(kind):
    vocabulary = checkpoint_vocabulary(ALL[kind](), 600)
    for text, begins_word in (("catdogs", True), ("ranon", False), ("Katze", True)):
        pieces = [vocabulary.tokens[row] for row in vocabulary.split(Token(text, text, begins_word))]
        assert "".join(piece.text for piece in pieces).lower() == text.lower()
        assert [piece.begins_word for piece in pieces][:1] == [begins_word]
        assert not any(piece.begins_word for piece in pieces[1:])
    assert len(vocabulary.split(Token("x", None))) == 0


def test_a_text_with_an_unknown_character_has_no_pieces():
    vocabulary = checkpoint_vocabulary(wordpiece(), 120)
    assert list(vocabulary.split(Token("猫", "猫"))) == []
    assert list(vocabulary.split(Token("##猫", "猫", False))) == []


TABLE = EmbeddingTable.known(["cat", "the", "dogs", "dog"], np.array([[1, 0], [0, 1], [2, 2], [4, 0]], np.float32), "t")


def test_static_vectors_of_words_and_means_of_the_words_that_contain_a_token():
    tokenizer = wordpiece(size=60)
    tokens = tokens_of(tokenizer)
    assert tokenizer.encode("dogs", add_special_tokens=False).tokens == ["dog", "##s"]
    vectors = token_vectors(tokens, TABLE, tokenizer, {"cat": 3, "the": 1, "dogs": 1, "unlisted": 9})
    by_name = {token.name: vectors[row] for row, token in enumerate(tokens)}
    assert by_name["the"].tolist() == [0, 1]
    assert by_name["dog"].tolist() == [4, 0]  # a word of the table, although "dogs" begins with this token too
    assert by_name["##s"].tolist() == [2, 2]
    assert not by_name["[CLS]"].any()
    assert not by_name["##z"].any()


def test_means_are_weighted_by_counts():
    tokenizer = wordpiece(size=40)  # characters only
    tokens = tokens_of(tokenizer)
    vectors = token_vectors(tokens, TABLE, tokenizer, {"dogs": 1, "dog": 3})
    row = next(row for row, token in enumerate(tokens) if token.name == "##o")
    assert vectors[row] == pytest.approx([(2 + 3 * 4) / 4, 2 / 4])


def test_n_grams_compose_the_tokens_that_are_no_words():
    table = load_vectors("fasttext,dim=6,epochs=1,min_count=1,buckets=1000", texts=TEXTS)
    tokenizer = wordpiece()
    tokens = tokens_of(tokenizer)
    vectors = token_vectors(tokens, table, tokenizer, {})
    row = next(row for row, token in enumerate(tokens) if token.name == "##e")
    assert vectors[row] == pytest.approx(table.composer.compose(["e"]).vectors[0])
    assert all(vectors[row].any() for row, token in enumerate(tokens) if not token.is_special)


def test_vectors_of_words():
    vectors = token_vectors(words_as_tokens(["Dog", "none", "cat"], ["<s>"]), TABLE)
    assert vectors.tolist() == [[0, 0], [4, 0], [0, 0], [1, 0]]


def test_a_dictionary_aligns_two_languages(tmp_path):
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.standard_normal((3, 3)))[0]
    theirs = random.standard_normal((6, 3)).astype(np.float32)
    old = EmbeddingTable.known([f"en{i}" for i in range(6)], theirs, "english")
    new = EmbeddingTable.known([f"de{i}" for i in range(6)], (theirs @ rotation).astype(np.float32), "german")
    (tmp_path / "pairs.txt").write_text("".join(f"en{i}\tde{i}\n" for i in range(4)) + "\nen9 de9\n")
    pairs = read_dictionary(tmp_path / "pairs.txt")
    assert pairs[-1] == ("en9", "de9")
    assert aligned(new, old, pairs).vectors == pytest.approx(theirs, abs=1e-5)
    with pytest.raises(EmbeddingError, match="1 pairs of the dictionary have vectors"):
        aligned(new, old, pairs[:1])
    (tmp_path / "pairs.txt").write_text("one two\nthree\n")
    with pytest.raises(EmbeddingError, match=r"pairs\.txt:2: not a pair"):
        read_dictionary(tmp_path / "pairs.txt")
