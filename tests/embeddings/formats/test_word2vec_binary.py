"""Rows of word2vec's binary format: none is lost, and each begins where a row can begin."""

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st

from embeddings.errors import VectorFileError
from embeddings.formats.detect import read_vectors
from embeddings.formats.interface import RowSelection

WORDS = ["the", "new york", "日本", "naïve", "a b c d", "x", "in_the", "New York City"]
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), 20)).astype(np.float32)
EACH_WRITER = pytest.mark.parametrize("line_end", [b"\n", b""], ids=["word2vec", "gensim"])


def written(words, vectors, line_end, n_rows=None):
    header = f"{len(words) if n_rows is None else n_rows} {vectors.shape[1]}\n".encode()
    return header + b"".join(word.encode() + b" " + row.tobytes() + line_end
                             for word, row in zip(words, vectors, strict=True))


def write(folder, content):
    path = folder / "v.bin"
    path.write_bytes(content)
    return path


@EACH_WRITER
def test_words_with_spaces(tmp_path, line_end):
    for order in (WORDS, WORDS[::-1], WORDS[1:2], WORDS[1:3]):
        vectors = VECTORS[: len(order)]
        rows = read_vectors(write(tmp_path, written(order, vectors, line_end)))
        assert rows.words == order
        assert rows.vectors.tobytes() == vectors.tobytes()


def test_words_with_spaces_as_gensim_writes_them(tmp_path):
    vectors = KeyedVectors(20)
    vectors.add_vectors(WORDS, VECTORS)
    vectors.save_word2vec_format(tmp_path / "v.bin", binary=True)
    rows = read_vectors(tmp_path / "v.bin")
    assert rows.words == WORDS
    assert rows.vectors.tobytes() == VECTORS.tobytes()


@EACH_WRITER
@given(seed=st.integers(0, 2**32 - 1), spaced=st.lists(st.booleans(), min_size=3, max_size=12))
def test_any_vectors_and_words(tmp_path_factory, line_end, seed, spaced):
    words = [f"w{i} of {i}" if one else f"w{i}" for i, one in enumerate(spaced)]
    vectors = np.random.default_rng(seed).normal(size=(len(words), 30)).astype(np.float32)
    path = write(tmp_path_factory.getbasetemp(), written(words, vectors, line_end))
    try:
        rows = read_vectors(path)
    except VectorFileError as error:  # with bad luck the bytes of numbers look like a word
        assert "v.bin" in str(error)
        return
    if not any(spaced) or line_end:
        assert len(set(rows.words) & set(words)) >= len(words) - 1
    if not any(spaced):
        assert rows.words == words
        assert rows.vectors.tobytes() == vectors.tobytes()


@EACH_WRITER
@pytest.mark.parametrize("n_rows", [0, 3, 7])
def test_rows_after_the_announced_ones_are_read(tmp_path, caplog, line_end, n_rows):
    path = write(tmp_path, written(WORDS, VECTORS, line_end, n_rows))
    rows = read_vectors(path)
    assert rows.words == WORDS
    assert rows.vectors.tobytes() == VECTORS.tobytes()
    assert f"the first line announces {n_rows} rows, but the file has more: 8 rows were read" in caplog.text
    caplog.clear()
    assert read_vectors(path, RowSelection(limit=2)).words == WORDS[:2]
    assert not caplog.text


def test_bytes_after_the_last_row(tmp_path, caplog):
    content = written(WORDS, VECTORS, b"\n")
    assert read_vectors(write(tmp_path, content + b"end of file")).words == WORDS
    assert "the last 12 bytes are not a row and are ignored" in caplog.text
    with pytest.raises(VectorFileError, match=r"v\.bin: \d+ bytes after row 8 are not a complete row"):
        read_vectors(write(tmp_path, written(WORDS, VECTORS, b"") + b"end of file"))


@pytest.mark.parametrize("change", [-3, -2, 1, 4])
def test_a_row_of_another_length_is_named(tmp_path, change):
    words = [f"word{i}" for i in range(50)]
    rows = [word.encode() + b" " + VECTORS[i % 8].tobytes() + b"\n" for i, word in enumerate(words)]
    rows[20] = rows[20][:change] + b"\n" if change < 0 else rows[20][:-1] + b"\x01" * change + b"\n"
    with pytest.raises(VectorFileError, match=r"v\.bin: row 21: the next row does not begin where rows of this file"):
        read_vectors(write(tmp_path, b"50 20\n" + b"".join(rows)))


def test_another_dimension_than_announced_without_line_breaks(tmp_path):
    content = written([f"word{i}" for i in range(400)], np.tile(VECTORS, (50, 1)), b"")
    with pytest.raises(VectorFileError, match=r"v\.bin: row \d: the next row does not begin where"):
        read_vectors(write(tmp_path, content.replace(b"400 20\n", b"400 19\n")))


def test_one_word_of_unusual_bytes_is_no_reason_to_refuse(tmp_path):
    words = ["the", "x\x07y", "cat", "\x10", "dog"]
    rows = read_vectors(write(tmp_path, written(words, VECTORS[:5], b"")))
    assert rows.words == words
    assert rows.vectors.tobytes() == VECTORS[:5].tobytes()
