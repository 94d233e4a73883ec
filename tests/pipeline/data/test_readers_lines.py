"""Running text: every line that is not blank, in its order, gzip or not."""

import bz2
import gzip
import lzma

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.config import DataConfig
from pipeline.data.readers.lines import LineReader
from pipeline.errors import DataError

LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\ufeff"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lines")


def write(folder, content, name="a.txt"):
    path = folder / name
    path.write_bytes(content)
    return path


@given(lines=st.lists(LINE, max_size=8), newline=st.sampled_from(["\n", "\r\n"]), packed=st.booleans(),
       mark=st.booleans())
def test_the_lines_that_are_not_blank(folder, lines, newline, packed, mark):
    content = ("\ufeff" * mark + newline.join(lines)).encode()
    path = write(folder, gzip.compress(content) if packed else content)
    kept = [(line, f"{path}:{i}") for i, line in enumerate(lines, start=1) if line.strip()]
    if kept:
        assert [(example.text, example.where) for example in LineReader().read_file(path, DataConfig())] == kept
    else:
        with pytest.raises(DataError, match=r"a\.txt: the file has no text"):
            LineReader().read_file(path, DataConfig())


@pytest.mark.parametrize("last", ["0 ", "three words here", "a  "])
def test_a_last_line_without_a_line_break_is_one_line(tmp_path, last):
    path = write(tmp_path, f"first line\n{last}".encode())
    assert [example.text for example in LineReader().read_file(path, DataConfig())] == ["first line", last]


def test_one_file_is_split_in_order(tmp_path):
    path = write(tmp_path, b"".join(b"%d\n" % (i // 2) for i in range(1000)))
    splits = LineReader().read(DataConfig(path=str(path), limit_train=600), seed=1)
    parts = [splits.train, splits.dev, [type(splits.test[0])(text, "", "") for text in splits.unlabelled], splits.test]
    assert [len(part) for part in parts] == [540, 60, 150, 250]
    assert [int(example.text) for part in parts for example in part] == [i // 2 for i in range(1000)]
    assert LineReader().read(DataConfig(path=str(path), limit_train=600), seed=2) == splits


def test_a_folder_keeps_its_parts_and_lines_may_repeat(tmp_path, caplog):
    write(tmp_path, b"one\ntwo\n", "train.txt")
    write(tmp_path, gzip.compress(b"two\n"), "test.txt.gz")
    splits = LineReader().read(DataConfig(path=str(tmp_path)), seed=1)
    assert [[example.text for example in part] for part in (splits.train, splits.dev, splits.test)] == [
        ["one", "two"], [], ["two"]
    ]
    assert not caplog.records


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"%PDF-1.7\na\n", r"a\.txt: not text but a PDF file"),
        (b"a\n\xff\0\1\2\3\n", r"a\.txt:2:.* not text"),
        (gzip.compress(b"text\n" * 99)[:-9], r"a\.txt:\d+: broken gzip"),
        (b"", r"a\.txt: the file has no text"),
    ],
    ids=["PDF", "not text", "broken gzip", "empty"],
)
def test_files_without_text_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        LineReader().read_file(write(tmp_path, content), DataConfig())


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        LineReader().read_file(tmp_path / "none.txt", DataConfig())


@pytest.mark.parametrize(("suffix", "pack"), [
    ("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard.compress)])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1252"])
def test_compressed_files_and_encodings(tmp_path, suffix, pack, encoding):
    text = "Ein schöner Tag im Mai.\nDie Straße war naß, und das Café geschlossen.\n" * 3
    write(tmp_path, pack(text.encode(encoding)), f"train.txt{suffix}")
    write(tmp_path, b"one\n", "test.txt")
    splits = LineReader().read(DataConfig(path=str(tmp_path)), seed=1)
    assert [example.text for example in splits.train] == text.splitlines()


def test_the_texts_of_tables(tmp_path):
    write(tmp_path, b'{"text": "one"}\n{"text": " "}\n{"text": "two\\nthree"}\n', "train.jsonl")
    write(tmp_path, b"id,Text\n1,four\n", "test.csv")
    splits = LineReader().read(DataConfig(path=str(tmp_path)), seed=1)
    assert [(example.text, example.where.rpartition(":")[2]) for example in splits.train] == [("one", "1"),
                                                                                           ("two\nthree", "3")]
    assert [example.text for example in splits.test] == ["four"]
    write(tmp_path, b"five\n", "train.txt")
    assert LineReader().read(DataConfig(path=str(tmp_path)), seed=1).train[0].text == "five"
    with pytest.raises(DataError, match=r"a\.csv: none of the columns 'x' has a usual name"):
        LineReader().read_file(write(tmp_path, b"x\n1\n", "a.csv"), DataConfig())
