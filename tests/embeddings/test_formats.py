import gzip

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embeddings.errors import VectorFileError
from embeddings.formats.text import read_text_vectors


def everything(_word, _row):
    return True


def write(folder, content, name="vectors.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


WORD = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=8)
FILES = st.integers(1, 6).flatmap(
    lambda dim: st.tuples(
        st.lists(WORD, min_size=2, max_size=10, unique=True).filter(lambda words: not words[0].isdigit()),
        arrays(np.float32, (10, dim), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    )
)


@given(FILES, st.booleans(), st.booleans(), st.sampled_from(["\n", "\r\n", " \n"]))
def test_what_is_written_is_read(tmp_path_factory, file, header, zipped, newline):
    words, vectors = file
    vectors = vectors[: len(words)]
    lines = [f"{len(words)} {vectors.shape[1]}"] * header
    lines += [" ".join([word, *(repr(float(x)) for x in row)]) for word, row in zip(words, vectors, strict=True)]
    content = newline.join(lines).encode()
    path = write(tmp_path_factory.mktemp("v"), gzip.compress(content) if zipped else content)
    read_words, read = read_text_vectors(path, everything)
    assert read_words == words
    assert read.tobytes() == vectors.tobytes()


@given(st.binary(max_size=200))
def test_any_bytes_give_vectors_or_one_message(tmp_path_factory, content):
    path = write(tmp_path_factory.mktemp("v"), content)
    try:
        words, vectors = read_text_vectors(path, everything)
    except VectorFileError as error:
        assert str(path) in str(error)
    else:
        assert len(words) == len(vectors)


def test_agrees_with_gensim(tmp_path):
    random = np.random.default_rng(0)
    made = KeyedVectors(7)
    made.add_vectors([f"w{i}" for i in range(300)], random.normal(size=(300, 7)).astype(np.float32))
    made.save_word2vec_format(tmp_path / "v.txt")
    theirs = KeyedVectors.load_word2vec_format(tmp_path / "v.txt")
    words, vectors = read_text_vectors(tmp_path / "v.txt", everything)
    assert words == theirs.index_to_key
    assert vectors.tobytes() == theirs.vectors.tobytes()


def test_a_word_may_hold_spaces(tmp_path):
    path = write(tmp_path, "a 1 2\nnew york 3 4\nb 5 6\n")
    words, vectors = read_text_vectors(path, everything)
    assert words == ["a", "new york", "b"]
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_of_a_repeated_word_the_first_is_taken(tmp_path):
    words, vectors = read_text_vectors(write(tmp_path, "a 1 2\na 3 4\nb 5 6\n"), everything)
    assert words == ["a", "b"]
    assert vectors.tolist() == [[1, 2], [5, 6]]


def test_only_wanted_rows_and_no_more_than_the_limit(tmp_path):
    path = write(tmp_path, "a 1\nb 2\nc 3\nd 4\n")
    assert read_text_vectors(path, lambda word, row: word == "d" or row == 1)[0] == ["b", "d"]
    assert read_text_vectors(path, everything, limit=2)[0] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 1 2\nb 3\nc 5 6\n", r"vectors\.txt:2: expected 2 numbers after the word, found 1"),
        ("a 1 2\nb 3 4\n\nc 5 6\n", r"vectors\.txt:3: expected 2 numbers after the word, found 0"),
        ("a 1 2\nb 3 x\n", r"vectors\.txt:2: not 2 finite numbers: '3 x'"),
        ("a 1 2\nb 3 nan\n", r"vectors\.txt:2: not 2 finite numbers"),
        ("3 2\na 1 2\nb 3\n", r"vectors\.txt:3: expected 2 numbers"),
        ("hello\nworld\n", r"vectors\.txt:1: expected a word and its numbers"),
        ("", r"vectors\.txt: the file is empty"),
    ],
)
def test_a_broken_line_is_named(tmp_path, content, message):
    with pytest.raises(VectorFileError, match=message):
        read_text_vectors(write(tmp_path, content), everything)


def test_a_missing_file_a_folder_and_a_cut_gzip(tmp_path):
    with pytest.raises(VectorFileError, match="no such file"):
        read_text_vectors(tmp_path / "none.txt", everything)
    with pytest.raises(VectorFileError, match="a folder"):
        read_text_vectors(tmp_path, everything)
    cut = write(tmp_path, gzip.compress(b"a 1 2\n" * 1000)[:-20])
    with pytest.raises(VectorFileError, match="broken gzip"):
        read_text_vectors(cut, everything)
