"""Quotes in tables separated by tabs, spaces before quotes, line ends, and what messages advise."""

import re

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.files import lines_of
from pipeline.data.readers.labelled import LabelledReader
from pipeline.errors import DataError


def read(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    with findings.collecting() as found:
        examples = LabelledReader().read_file(path, DataConfig())
    return [(example.text, example.label) for example in examples], any("double quotes" in note for note in found.notes)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("content", "rows"), [
    ('text\tlabel\r\n"He said ""hi"", ok"\tx\r\nplain\ty\r\n', [('He said "hi", ok', "x"), ("plain", "y")]),
    ('text\tlabel\r\n"two\nlines"\tx\r\n\r\nplain\ty\r\n', [("two\nlines", "x"), ("plain", "y")]),
    ('"text"\t"label"\n"foo"\t"x"\n', [("foo", "x")]),
    ('text\tlabel\n"a\tb"\tx\n', [("a\tb", "x")]),
])
def test_quoted_cells_of_excel_and_pandas_in_tsv(tmp_path, content, rows, encoding):
    assert read(tmp_path / "a.tsv", content, encoding) == (rows, True)


@pytest.mark.parametrize("text", ['"Yes , " he said "".', '"foo"', '"foo', '"', 'foo "" bar', '""', '5" pipe ""',
                                  '"a" and "b"'])
def test_other_quotes_in_tsv_are_text(tmp_path, text):
    assert read(tmp_path / "a.tsv", f'text\tlabel\n{text}\tx\nbar\ty\n"\tx\n') == (
        [(text, "x"), ("bar", "y"), ('"', "x")], False)


def test_spaces_after_all_separators_are_not_part_of_quoted_cells(tmp_path):
    assert read(tmp_path / "a.csv", 'label, text\nx, "a, b"\ny, c\n')[0] == [("a, b", "x"), ("c", "y")]
    assert read(tmp_path / "a.csv", 'label,text\nx, "b"\n')[0] == [(' "b"', "x")]


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_lines_that_end_with_cr_only(tmp_path, suffix):
    assert read(tmp_path / f"a{suffix}", "text\tlabel\rfoo\tx\rbar\ty\r")[0] == [("foo", "x"), ("bar", "y")]


def test_cr_ends_lines_only_without_lf():
    assert lines_of("a\rb\r") == ["a", "b"]
    assert lines_of("a\rb\nc\r\n") == ["a\rb", "c"]
    assert lines_of("a\r") == ["a"]


@pytest.mark.parametrize(("name", "row", "advice"), [
    ("a.csv", "a", "add the missing cells"), ("a.csv", "a,b,c", "put cells that contain ',' in double quotes"),
    ("a.tsv", "a", "replace line breaks inside of texts"), ("a.tsv", "a\tb\tc", "replace tabs inside of texts"),
    ("a.csv", '"he said \\"hi\\", ok",x', "write a double quote inside of a quoted cell twice"),
])
def test_advice_fits_the_row(tmp_path, name, row, advice):
    separator = "," if name == "a.csv" else "\t"
    with pytest.raises(DataError, match=rf"{re.escape(name)}:3: .*; {advice}"):
        read(tmp_path / name, f"text{separator}label\nfoo{separator}x\n{row}\n")
