import gzip
import os
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import WordTokenizer
from embeddings.errors import CorpusError
from embeddings.tokenization import line_decoding
from embeddings.tokenization.corpus import MAX_BYTES_PER_LINE, MAX_WORDS_PER_LINE, CorpusFiles, _write, tokenized_file


def test_plain_gzip_and_folders_in_order(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "more" / "b.any").write_bytes(gzip.compress(b"three\n"))
    corpus = CorpusFiles((tmp_path,))
    assert [line.strip() for line in corpus] == ["one", "two", "three"]
    assert [line.strip() for line in corpus] == ["one", "two", "three"]  # a second iteration


def test_lines_are_streamed(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"good\n" * 2**20) + b"foreign")
    lines = iter(CorpusFiles((tmp_path / "a.gz",)))
    assert next(lines) == "good\n"  # the broken end is not read yet
    with pytest.raises(CorpusError, match=r"a\.gz:\d+: broken gzip"):
        list(lines)


def test_error_names_missing_paths(tmp_path):
    with pytest.raises(CorpusError, match="no such text file or folder"):
        CorpusFiles((tmp_path / "none",))
    with pytest.raises(CorpusError, match="the folder is empty"):
        CorpusFiles((tmp_path,))


def test_error_names_a_truncated_gzip_file(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"word\n" * 1000)[:-12])
    with pytest.raises(CorpusError, match=r"a\.gz:\d+: broken gzip"):
        list(CorpusFiles((tmp_path / "a.gz",)))


def test_single_line_file_is_read_in_parts(tmp_path):
    text = "déjà vu " * (MAX_BYTES_PER_LINE // 8)
    (tmp_path / "a.txt").write_text(text + "東京" * MAX_BYTES_PER_LINE + "\nlast", encoding="utf-8")
    lines = list(CorpusFiles((tmp_path / "a.txt",)))
    assert len(lines) > 2
    assert " ".join(lines).split() == [*text.split(), "東京" * MAX_BYTES_PER_LINE, "last"]
    assert max(map(len, lines[:-2])) <= MAX_BYTES_PER_LINE


def test_error_names_an_unreadable_file(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a\n")
    corpus = CorpusFiles((tmp_path / "a.txt",))
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").mkdir()
    monkeypatch.setattr(CorpusFiles, "files", lambda self: list(self.paths))
    with pytest.raises(CorpusError, match=r"a\.txt: cannot be read"):
        list(corpus)


def test_progress_reports_the_fraction_of_bytes(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("some words of text\n" * 20_000)
    told = []
    with tokenized_file(CorpusFiles((tmp_path,)), WordTokenizer(), told.append):
        pass
    assert len(told) > 10
    assert told == sorted(told)
    assert told[0] < 0.1 and told[-1] > 0.9
    told.clear()
    with tokenized_file(["a"] * 10_000, WordTokenizer(), told.append):
        pass
    assert told[0] == 0
    assert told[-1] > 0.5


@given(st.lists(st.text(), min_size=1))
def test_tokenized_file_contains_every_word_in_order(texts):
    tokenizer = WordTokenizer()
    words = [word for text in texts for word in tokenizer.words(text)]
    if not words:
        with pytest.raises(CorpusError, match="contains no word"), tokenized_file(texts, tokenizer):
            pass
    else:
        with tokenized_file(texts, tokenizer) as text:
            lines = text.path.read_text(encoding="utf-8").splitlines(keepends=False)
            assert " ".join(lines).split() == words
            assert len(lines) == text.n_lines == sum(bool(tokenizer.words(one)) for one in texts)
        assert list(text.counts.items()) == list(Counter(words).items())
        assert not text.path.exists()


def test_long_texts_are_split_for_gensim():
    with tokenized_file(["word " * (MAX_WORDS_PER_LINE + 1)], WordTokenizer()) as text:
        assert [len(line.split()) for line in text.path.read_text().splitlines()] == [MAX_WORDS_PER_LINE, 1]
        assert text.n_lines == 2


def test_interruption_truncates_and_removes_the_file():
    with pytest.raises(KeyboardInterrupt), tokenized_file(["a word"], WordTokenizer()) as text:
        reader = text.path.open()
        raise KeyboardInterrupt
    with reader:
        assert os.fstat(reader.fileno()).st_size == 0
    assert not text.path.exists()


def test_error_names_a_full_disk():
    if not Path("/dev/full").exists():
        pytest.skip("the system has no device that is always full")
    with pytest.raises(CorpusError, match=r"cannot be written there .*TMPDIR"):
        _write(Path("/dev/full"), ["word " * MAX_BYTES_PER_LINE], WordTokenizer())


@pytest.mark.datasets
def test_fast_ascii_path_equals_the_library_on_a_real_corpus(datasets):
    tokenizer, plain = WordTokenizer(), WordTokenizer()
    plain._has_our_pattern = False  # the library tokenizes everything
    lines = islice(CorpusFiles((datasets / "corpus_en",)), 0, None, 10)
    assert all(tokenizer.words(line) == plain.words(line) for line in lines)


TEXT = "der Bär\nläuft\n" + "Ein Satz über Füße und Öl.\n" * 20


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes(("plain\n" + TEXT).encode(encoding))
    assert "".join(CorpusFiles((tmp_path / "a.txt",))) == "plain\n" + TEXT
    given = {"utf-16-le": "", "utf-16-be": ""}.get(encoding, encoding)
    assert "".join(CorpusFiles((tmp_path / "a.txt",), encoding=given)) == "plain\n" + TEXT


def test_broken_bytes_of_utf8_are_told(tmp_path, caplog):
    (tmp_path / "a.txt").write_bytes(TEXT.encode() + b"caf\xe9\n" + b"th\xe9\n")
    assert "".join(CorpusFiles((tmp_path / "a.txt",))) == TEXT + "caf\ufffd\nth\ufffd\n"
    assert "a.txt:23: not UTF-8; such bytes in 2 lines are read as U+FFFD" in caplog.text
    (tmp_path / "b.txt").write_bytes(TEXT.encode("cp1252"))
    list(CorpusFiles((tmp_path / "b.txt",)))
    assert "b.txt: encoding WINDOWS-1252 (detected)" in caplog.text
    with pytest.raises(CorpusError, match=r"b\.txt:1: not UTF-8 .*--encoding NAME"):
        list(CorpusFiles((tmp_path / "b.txt",), encoding="utf-8"))
    with pytest.raises(CorpusError, match="no encoding is called 'utf-9'"):
        list(CorpusFiles((tmp_path / "b.txt",), encoding="utf-9"))


@pytest.mark.parametrize("name", ["x.csv", "x.TSV", "x.jsonl", "x.csv.gz", "x.parquet", "x.xlsx"])
def test_tables_are_refused_before_any_line_is_read(tmp_path, name):
    (tmp_path / "a.txt").write_text("one\n")
    (tmp_path / name).write_text("text,label\none,a\n")
    with pytest.raises(CorpusError, match=rf"{name}: a table, .*write the texts to a \.txt file"):
        next(iter(CorpusFiles((tmp_path,))))


@pytest.mark.parametrize(("content", "kind"), [
    (b"PAR1" + bytes(99), "a Parquet file"), (b"PK\x03\x04", "a zip archive"), (b"%PDF-1.7\n", "a PDF file"),
    (bytes(range(128, 256)) * 9, ""),
])
def test_binary_files_are_named(tmp_path, content, kind):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(CorpusError, match=f"a: not text but {kind}" if kind else "not "):
        list(CorpusFiles((tmp_path / "a",)))


def test_a_line_without_spaces_is_split_between_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(line_decoding, "MAX_UNBROKEN", 2**21 + 1)
    text = "東京" * 2**20
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    lines = list(CorpusFiles((tmp_path / "a.txt",)))
    assert len(lines) == 3
    assert "".join(lines) == text
