import codecs
import gzip
import zipfile

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embeddings import compressed_files
from embeddings.errors import VectorFileError
from embeddings.formats.detect import detect_format, formats, read_vectors
from embeddings.formats.fasttext_binary import MAGIC as FASTTEXT_MAGIC
from embeddings.formats.interface import RowSelection
from embeddings.formats.safetensors_matrix import is_safetensors


def read_text_vectors(path, selection=RowSelection()):  # noqa: B008
    rows = read_vectors(path, selection)
    return rows.words, rows.vectors


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
def test_written_vectors_are_read_back(tmp_path_factory, file, header, zipped, newline):
    words, vectors = file
    vectors = vectors[: len(words)]
    lines = [f"{len(words)} {vectors.shape[1]}"] * header
    lines += [" ".join([word, *(repr(float(x)) for x in row)]) for word, row in zip(words, vectors, strict=True)]
    content = newline.join(lines).encode()
    path = write(tmp_path_factory.mktemp("v"), gzip.compress(content) if zipped else content)
    read_words, read = read_text_vectors(path)
    assert read_words == words
    assert read.tobytes() == vectors.tobytes()


FORMS = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.tuples(st.sampled_from(["", "-", "+"]), st.sampled_from(["1.", ".5", "007", "3.14159", "0.000000000000001"]),
              st.sampled_from(["", "e3", "E-3", "e+05"])).map("".join),
    st.decimals(-1000, 1000, places=12).map(str),
)


@given(st.lists(FORMS, min_size=4, max_size=4))
def test_numbers_in_any_notation_equal_numpy(tmp_path_factory, numbers):
    path = write(tmp_path_factory.mktemp("v"), f"a {' '.join(numbers)}\nb 1 2 3 4\n")
    _, read = read_text_vectors(path)
    assert read[0].tobytes() == np.array([np.float32(number) for number in numbers]).tobytes()


@given(st.data())
def test_skipping_rows_does_not_change_the_result(tmp_path_factory, data):
    """Reading some words equals reading all and selecting them: spaces, tabs, repeats, invalid bytes, blanks."""
    word = st.lists(st.sampled_from([b"a", b"b", b" ", b"\xff", "é".encode(), b"1", b"-"]), max_size=4).map(b"".join)
    gap = st.sampled_from([b" ", b"\t", b"  "])
    words = data.draw(st.lists(word, min_size=1, max_size=12))
    end = st.sampled_from([b"\n", b" \n", b"\r\n"])
    content = b"".join(
        word + data.draw(gap) + b"1" + data.draw(gap) + b"%d" % row + data.draw(end)
        for row, word in enumerate([b"x", b"y", b"z", *words])
    )
    path = write(tmp_path_factory.mktemp("v"), content)
    all_words, all_vectors = read_text_vectors(path)
    wanted = data.draw(st.sets(st.sampled_from([*all_words, "absent", "a b", "\N{REPLACEMENT CHARACTER}"])))
    kept = [row for row, word in enumerate(all_words) if word in wanted]
    some_words, some_vectors = read_text_vectors(path, RowSelection(frozenset(wanted)))
    assert some_words == [all_words[row] for row in kept]
    assert some_vectors.tobytes() == all_vectors[kept].tobytes()


@given(st.binary(max_size=200))
def test_any_bytes_give_vectors_or_one_message(tmp_path_factory, content):
    path = write(tmp_path_factory.mktemp("v"), content)
    try:
        words, vectors = read_text_vectors(path)
    except VectorFileError as error:
        assert str(path) in str(error)
    else:
        assert len(words) == len(vectors)


@pytest.mark.reference("source", "file")
@pytest.mark.reference("format", "text")
def test_text_format_equals_gensim(tmp_path):
    random = np.random.default_rng(0)
    made = KeyedVectors(7)
    made.add_vectors([f"w{i}" for i in range(300)], random.normal(size=(300, 7)).astype(np.float32))
    made.save_word2vec_format(tmp_path / "v.txt")
    theirs = KeyedVectors.load_word2vec_format(tmp_path / "v.txt")
    words, vectors = read_text_vectors(tmp_path / "v.txt")
    assert words == theirs.index_to_key
    assert vectors.tobytes() == theirs.vectors.tobytes()


def test_word_may_contain_spaces(tmp_path):
    path = write(tmp_path, "a 1 2\nnew york 3 4\nb 5 6\n")
    words, vectors = read_text_vectors(path)
    assert words == ["a", "new york", "b"]
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_first_row_of_a_repeated_word_is_read(tmp_path):
    words, vectors = read_text_vectors(write(tmp_path, "a 1 2\na 3 4\nb 5 6\n"))
    assert words == ["a", "b"]
    assert vectors.tolist() == [[1, 2], [5, 6]]


def test_selected_rows_and_limit(tmp_path):
    path = write(tmp_path, "a 1\nb 2\nc 3\nd 4\n")
    assert read_text_vectors(path, RowSelection(frozenset({"d", "b"})))[0] == ["b", "d"]
    assert read_text_vectors(path, RowSelection(limit=2))[0] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 1 2\nb 3\nc 5 6\n", r"vectors\.txt:2: expected 2 numbers after the word, found 1"),
        ("\n\na 1 2\nb 3 4\n\nc 5\n", r"vectors\.txt:6: expected 2 numbers after the word, found 1"),
        ("\n2 3\na 1 2\n", r"vectors\.txt:2: the first line announces 3"),
        ("\n \n\t\n", r"vectors\.txt: the file has only blank lines"),
        ("a 1 2\rb 3 4\r", r"vectors\.txt:1: the lines end with \\r"),
        ("a 1 2\nb 3 x\n", r"vectors\.txt:2: expected 2 finite numbers, found '3 x'"),
        ("a 1 2\nb 3 nan\n", r"vectors\.txt:2: expected 2 finite numbers"),
        ("3 2\na 1 2\nb 3\n", r"vectors\.txt:3: expected 2 numbers"),
        ("hello\nworld\n", r"vectors\.txt:1: expected a word and its numbers"),
        ("a 1 2\nb 3 1e39\n", r"vectors\.txt:2: expected 2 finite numbers"),
        ("a 1 2\nb 3 1_0\n", r"vectors\.txt:2: expected 2 finite numbers"),
        ("2 3\na 1 2\nb 3 4\n", r"vectors\.txt:1: the first line announces 3 numbers per row, but the rows have 2"),
        ("a 1\nb 2\n" + "x" * 2**22 + " 1\n", r"vectors\.txt:3: the line is longer than"),
        ("", r"vectors\.txt: the file is empty"),
    ],
)
def test_error_names_the_broken_line(tmp_path, content, message):
    with pytest.raises(VectorFileError, match=message):
        read_text_vectors(write(tmp_path, content))


ROWS = "the 1 2\nnew york 3 4\n日本 5 6\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("content", [ROWS, "3 2\n" + ROWS, "\n3 2\n\n" + ROWS.replace("\n", "\n \n")],
                         ids=["plain", "header", "blank lines"])
def test_byte_order_marks_other_encodings_and_blank_lines(tmp_path, content, encoding):
    if encoding in ("utf-16-le", "utf-16-be"):
        content = "".join(map("w{} 1 2\n".format, range(99)))
    rows = read_vectors(write(tmp_path, content.encode(encoding)))
    if encoding in ("utf-16-le", "utf-16-be"):
        assert rows.words == [f"w{i}" for i in range(99)]
    else:
        assert rows.words == ["the", "new york", "日本"]
        assert rows.vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_big_endian_utf16_with_a_mark(tmp_path):
    content = codecs.BOM_UTF16_BE + ROWS.encode("utf-16-be")
    assert read_vectors(write(tmp_path, content)).words == ["the", "new york", "日本"]
    with pytest.raises(VectorFileError, match=r"vectors\.txt: not UTF-16, .* convert the file to UTF-8"):
        read_vectors(write(tmp_path, content[:-1]))


def test_a_byte_order_mark_that_is_a_word_is_kept(tmp_path):
    assert read_vectors(write(tmp_path, "\ufeff 1 2\nb 3 4\n")).words == ["\ufeff", "b"]
    assert read_vectors(write(tmp_path, "a 1 2\n\ufeffb 3 4\n")).words == ["a", "\ufeffb"]


def test_limit_and_selection_count_rows_not_lines(tmp_path):
    path = write(tmp_path, "\n3 1\n\na 1\n\n\nb 2\nc 3\n\n")
    assert read_vectors(path, RowSelection(limit=2)).words == ["a", "b"]
    assert read_vectors(path, RowSelection(frozenset({"c"}), n_frequent=1)).words == ["a", "c"]
    assert read_vectors(path, RowSelection(frozenset({"c"}), n_frequent=2)).words == ["a", "b", "c"]


def test_words_that_are_not_utf8_are_told(tmp_path, caplog):
    read_vectors(write(tmp_path, "café 1 2\nb 3 4\n".encode("latin-1")))
    assert "1 of 2 words are not UTF-8, such as 'caf\ufffd'" in caplog.text


def test_missing_file_folder_and_truncated_gzip(tmp_path):
    with pytest.raises(VectorFileError, match="no such vector file"):
        read_text_vectors(tmp_path / "none.txt")
    with pytest.raises(VectorFileError, match="a folder"):
        read_text_vectors(tmp_path)
    cut = write(tmp_path, gzip.compress(b"a 1 2\n" * 1000)[:-20])
    with pytest.raises(VectorFileError, match="broken gzip"):
        read_text_vectors(cut)


def test_tabs_blanks_and_irregular_lines(tmp_path):
    words, vectors = read_text_vectors(write(tmp_path, b"a\t1\t2\r\n b  3 4 \n 5 6\n\xff 7 8\n\xfe 9 9\n"))
    assert words == ["a", "b", "", "\N{REPLACEMENT CHARACTER}"]
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_file_of_phrases_and_file_of_numbers(tmp_path):
    words, _ = read_text_vectors(write(tmp_path, "new york 1 2\nden haag 3 4\nmacho e 5 6\n"))
    assert words == ["new york", "den haag", "macho e"]
    words, vectors = read_text_vectors(write(tmp_path, "1984 1 2\n1985 3 4\n"))
    assert (words, vectors.shape) == (["1984", "1985"], (2, 2))
    words, vectors = read_text_vectors(write(tmp_path, "7 5\n8 6\n"))
    assert (words, vectors.tolist()) == (["7", "8"], [[5], [6]])


def test_shortened_file_is_read_with_a_warning(tmp_path, caplog):
    words, _ = read_text_vectors(write(tmp_path, "1000 2\na 1 2\nb 3 4\n"))
    assert words == ["a", "b"]
    assert "announces 1000 rows, but the file has 2" in caplog.text


def test_first_rows_are_read_besides_requested_words(tmp_path):
    path = write(tmp_path, "a 1\nb 2\nc 3\nd 4\n")
    assert read_text_vectors(path, RowSelection(frozenset({"d"}), n_frequent=2))[0] == ["a", "b", "d"]


def zipped(folder, members, name="v.zip"):
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


def test_members_of_a_zip(tmp_path):
    path = zipped(tmp_path, {"g.50d.txt": "a 1\n", "sub/g.100d.txt": "a 1 2\n", "__MACOSX/._g": "", ".DS_Store": ""})
    assert read_vectors(f"{path}!sub/g.100d.txt").vectors.shape == (1, 2)
    with pytest.raises(VectorFileError, match=r"2 members: choose one, such as .*v\.zip!g\.50d\.txt; members: g\.50d"):
        read_vectors(path)
    with pytest.raises(VectorFileError, match=r"no member is called 'g'; members: g\.50d\.txt, sub/g\.100d\.txt"):
        read_vectors(f"{path}!g")
    assert read_vectors(zipped(tmp_path, {"only.vec": "1 2\na 1 2\n"}, "one.zip")).words == ["a"]
    with pytest.raises(VectorFileError, match="nothing to read"):
        read_vectors(zipped(tmp_path, {}, "none.zip"))
    with pytest.raises(VectorFileError, match="not a zip archive"):
        read_vectors(f"{write(tmp_path, 'a 1')}!a")
    odd = write(tmp_path, "a 1 2\n", "odd!name.txt")
    assert read_vectors(odd).words == ["a"]


def test_encrypted_and_broken_zip(tmp_path):
    path = zipped(tmp_path, {"v.txt": "a 1 2\n" * 99})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(VectorFileError, match="encrypted"):
        read_vectors(write(tmp_path, bytes(content), "encrypted.zip"))
    with pytest.raises(VectorFileError, match="broken zip"):
        read_vectors(write(tmp_path, path.read_bytes()[:-30], "cut.zip"))


def test_decompression_bomb_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(compressed_files, "FREE_EXPANSION", 2**20)
    bomb = gzip.compress(b"a 1\n" + b"b 2\n" * 2**20)
    with pytest.raises(VectorFileError, match="expands to more than 200 times its size"):
        read_vectors(write(tmp_path, bomb))
    assert read_vectors(write(tmp_path, bomb[:0] + gzip.compress(b"a 1\nb 2\n"))).words == ["a", "b"]


@pytest.mark.parametrize("location", ["", "\0", "x" * 5000, "none.zip!a", "~no-such-user/none"])
def test_invalid_location(location):
    with pytest.raises(VectorFileError):
        read_vectors(location)


def test_format_is_detected_by_content(tmp_path):
    assert detect_format(write(tmp_path, "a 1 2\nb 3 4\n", "v.bin")).name == "text"
    assert detect_format(write(tmp_path, "2 2\na 1 2\nb 3 4\n", "v.npy")).name == "text"
    assert detect_format(write(tmp_path, "2 2\nnew york 1 2\nb 3 4\n")).name == "text"
    assert detect_format(write(tmp_path, b"2 2\na " + np.array([0.1, 0.2], "<f4").tobytes() + b"\n", "v.txt")).name == (
        "word2vec binary")
    with pytest.raises(VectorFileError, match="the file is empty"):
        detect_format(write(tmp_path, ""))


def test_line_of_100000_numbers(tmp_path):
    vectors = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    path = write(tmp_path, "a " + " ".join(map(repr, vectors.tolist())) + "\n")
    assert read_text_vectors(path)[1].tobytes() == vectors.tobytes()


def test_formats_are_tried_by_priority_and_name():
    order = [(one.priority, one.name) for one in formats()]
    assert order == sorted(order)
    assert [name for priority, name in order if priority == max(order)[0]] == ["text"]


def test_a_signature_has_priority_over_the_header_of_safetensors(tmp_path):
    model = FASTTEXT_MAGIC + (12).to_bytes(4, "little") + (123).to_bytes(4, "little") + bytes(100)
    assert is_safetensors(model)
    assert detect_format(write(tmp_path, model)).name == "fastText model"
