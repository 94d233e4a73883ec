import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import WordTokenizer
from embeddings.corpus import MAX_WORDS_A_LINE, CorpusFiles, tokenized_file
from embeddings.errors import CorpusError


def test_plain_gzip_and_folders_in_order(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "more" / "b.any").write_bytes(gzip.compress(b"three\n"))
    corpus = CorpusFiles((tmp_path,))
    assert [line.strip() for line in corpus] == ["one", "two", "three"]
    assert [line.strip() for line in corpus] == ["one", "two", "three"]  # read anew


def test_lines_are_streamed(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"good\n" * 10 + b"\xff\n")
    lines = iter(CorpusFiles((tmp_path / "a.txt",)))
    assert next(lines) == "good\n"  # the bad line far below is not met yet
    with pytest.raises(CorpusError, match=r"a\.txt:11: not UTF-8"):
        list(lines)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(CorpusError, match="no such file or folder"):
        CorpusFiles((tmp_path / "none",))
    with pytest.raises(CorpusError, match="holds no file"):
        CorpusFiles((tmp_path,))


def test_a_cut_gzip_file_is_named(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"word\n" * 1000)[:-12])
    with pytest.raises(CorpusError, match=r"a\.gz:\d+: broken gzip"):
        list(CorpusFiles((tmp_path / "a.gz",)))


@given(st.lists(st.text(), min_size=1))
def test_the_tokenized_file_holds_every_word_in_order(texts):
    tokenizer = WordTokenizer()
    words = [word for text in texts for word in tokenizer.words(text)]
    if not words:
        with pytest.raises(CorpusError, match="holds no word"), tokenized_file(texts, tokenizer):
            pass
    else:
        with tokenized_file(texts, tokenizer) as path:
            assert path.read_text(encoding="utf-8").split(None) == " ".join(words).split(None)
        assert not path.exists()


def test_long_texts_are_cut_where_gensim_would_drop_the_rest():
    with tokenized_file(["word " * (MAX_WORDS_A_LINE + 1)], WordTokenizer()) as path:
        assert [len(line.split()) for line in path.read_text().splitlines()] == [MAX_WORDS_A_LINE, 1]
