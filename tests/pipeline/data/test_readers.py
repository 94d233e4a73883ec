import csv
import io
import json
import os

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.readers.columns import find_column
from pipeline.data.readers.tables import known_suffixes, read_rows
from pipeline.errors import DataError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=20)
FAST = [suffix for suffix in known_suffixes() if suffix not in (".xlsx", ".xls", ".ods")]  # these start a process
ROWS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6)
GOOD = {
    ".tsv": b"text\tlabel\none\tx\ntwo\ty\n",
    ".csv": b'text,label\n"one, ""1""",x\ntwo,y\n',
    ".jsonl": b'{"text": "one", "label": "x"}\n{"text": "two", "label": ["y"]}\n',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def cells(path):
    return [tuple(row.text(column) for column in row.cells) for row in read_rows(path)]


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_or_one_message(path):
    try:
        assert read_rows(path)
    except DataError as error:
        assert str(path) in str(error)


@given(rows=st.lists(st.tuples(LINE, LINE), min_size=1, max_size=6), newline=st.sampled_from(["\n", "\r\n"]))
def test_tsv_keeps_every_character(folder, rows, newline):
    content = newline.join(["text\tlabel", *("\t".join(row) for row in rows), ""])
    kept = [row for row in rows if "\t".join(row).strip()]
    path = write(folder, "a.tsv", content)
    if kept:
        assert cells(path) == kept
    else:
        with pytest.raises(DataError, match="no rows"):
            read_rows(path)


def test_quotes_have_no_meaning_in_tsv(tmp_path):
    assert cells(write(tmp_path, "a.tsv", 'text\tlabel\n"open\t""x"\n')) == [('"open', '""x"')]


@given(rows=ROWS, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_csv_reads_what_the_csv_module_writes(folder, rows, quoting):
    target = io.StringIO(newline="")
    csv.writer(target, quoting=quoting).writerows([("text", "label"), *rows])
    assert cells(write(folder, "a.csv", target.getvalue())) == rows


@given(ROWS, st.booleans())
def test_jsonl(folder, rows, ascii_only):
    lines = [json.dumps({"text": a, "label": b}, ensure_ascii=ascii_only) for a, b in rows]
    assert cells(write(folder, "a.jsonl", "\n\n".join(lines))) == rows


@given(ROWS)
def test_parquet(folder, rows):
    texts, labels = zip(*rows, strict=True)
    pyarrow.parquet.write_table(pa.table({"text": texts, "label": labels}), folder / "a.parquet")
    assert cells(folder / "a.parquet") == rows
    assert [row.line for row in read_rows(folder / "a.parquet")] == list(range(1, len(rows) + 1))


@given(content=st.binary(max_size=120), suffix=st.sampled_from(FAST))
def test_any_bytes_are_rows_or_one_message(folder, content, suffix):
    rows_or_one_message(write(folder, f"fuzz{suffix}", content))


@given(suffix=st.sampled_from(sorted(GOOD)), at=st.integers(0, 60), junk=st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_rows_or_one_message(folder, suffix, at, junk):
    good = GOOD[suffix]
    rows_or_one_message(write(folder, f"inserted{suffix}", good[:at] + junk + good[at:]))
    rows_or_one_message(write(folder, f"replaced{suffix}", good[:at] + junk + good[at + len(junk) :]))
    rows_or_one_message(write(folder, f"cut{suffix}", good[:at]))


def test_other_cells_become_strings(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": 5, "label": true, "more": null}\n')
    assert cells(path) == [("5", "true", "")]
    pyarrow.parquet.write_table(pa.table({"text": [None, "x"], "label": [3, 4]}), tmp_path / "a.parquet")
    assert cells(tmp_path / "a.parquet") == [("", "3"), ("x", "4")]


def test_lone_surrogates_are_replaced_and_pairs_kept(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "a\\ud800b \\ud83d\\ude00"}\n')
    assert cells(path) == [("a\ufffdb 😀",)]


def test_lines_are_counted_through_quoted_newlines(tmp_path):
    rows = read_rows(write(tmp_path, "a.csv", 'text,label\n"two\nlines",x\nnext,y\n'))
    assert [row.line for row in rows] == [2, 4]


@pytest.mark.parametrize("suffix", GOOD)
def test_blank_lines_are_counted_but_are_not_rows(tmp_path, suffix):
    head, first, rest = GOOD[suffix].split(b"\n", 2)
    plain = read_rows(write(tmp_path, f"a{suffix}", GOOD[suffix]))
    spaced = read_rows(write(tmp_path, f"b{suffix}", b"\n".join([head, b"", first, b"", b"", rest])))
    assert [row.cells for row in spaced] == [row.cells for row in plain]
    assert spaced[-1].line == plain[-1].line + (1 if suffix == ".jsonl" else 3)


@pytest.mark.parametrize("suffix", GOOD)
def test_a_byte_order_mark_changes_nothing(tmp_path, suffix):
    marked = write(tmp_path, f"a{suffix}", b"\xef\xbb\xbf" + GOOD[suffix])
    assert read_rows(marked) == read_rows(write(tmp_path, f"b{suffix}", GOOD[suffix]))


def test_suffixes_in_upper_case_are_recognised(tmp_path):
    assert cells(write(tmp_path, "A.TSV", GOOD[".tsv"])) == [("one", "x"), ("two", "y")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "text\tlabel\nx\ty\nz\n", r"a\.tsv:3: 1 cells, but the header has 2 columns \(text, label\)"),
        ("a.csv", "text,label\nx,y,z\n", r"a\.csv:2: 3 cells, but the header has 2 columns \(text, label\)"),
        ("a.tsv", b"text\tlabel\nx\ty\n\0\xe9\ty\n", r"a\.tsv:3: not text \(byte 0xe9"),
        ("a.csv", b"text,label\n\0\xff,y\n", r"a\.csv:2: not text \(byte 0xff"),
        ("a.csv", 'text,label\n"open,y\n', r"a\.csv:2: malformed CSV"),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", '["x"]\n', r"a\.jsonl:1: expected an object"),
        ("a.jsonl", "[" * 100_000, r"a\.jsonl:1: JSON that cannot be read"),
        ("a.jsonl", '{"text": ' + "1" * 5000 + "}", r"a\.jsonl:1: JSON that cannot be read"),
        ("a.parquet", "no", r"a\.parquet: not a Parquet file"),
        ("a.xlsx", "", r"a\.xlsx: not a spreadsheet, or damaged"),
        ("a.doc", "", r"cannot read a table with the suffix '\.doc'; convert it to one of \.arrow, \.csv"),
        ("a", "word\tkind\nx\ty\n", r"cannot read a table with the suffix ''; convert it to one of \.arrow"),
        ("a.tsv", "text\tlabel\n", r"a\.tsv: the file has no rows"),
    ],
)
def test_malformed_files_are_named(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read_rows(write(tmp_path, name, content))


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".ndjson"])
def test_an_empty_file_has_no_rows(tmp_path, suffix):
    with pytest.raises(DataError, match="the file is empty"):
        read_rows(write(tmp_path, f"a{suffix}", ""))


def test_a_file_that_is_missing_or_a_folder(tmp_path):
    (tmp_path / "folder.tsv").mkdir()
    for name, message in (("none.tsv", ": no such file"), ("folder.tsv", " is a folder; name a file in it")):
        with pytest.raises(DataError, match=rf"{name}{message}"):
            read_rows(tmp_path / name)


@pytest.mark.parametrize("written", ["review", "Review", "REVIEW", " Review "])
def test_a_usual_name_is_found_in_any_case(tmp_path, written):
    path = write(tmp_path, "a.tsv", f"id\t{written}\n1\tx\n")
    assert find_column(read_rows(path), path, "", ("text", "review"), "text_column") == written.strip()


def test_the_configured_column_takes_precedence_over_usual_names(tmp_path):
    path = write(tmp_path, "a.tsv", "review\ttext\tid\nx\ty\tz\n")
    rows = read_rows(path)
    assert find_column(rows, path, "", ("text", "review"), "text_column") == "text"
    assert find_column(rows, path, "id", ("text", "review"), "text_column") == "id"
    twice = write(tmp_path, "b.tsv", "Text\ttext\nx\ty\n")
    with pytest.raises(DataError, match=r"b\.tsv:2: both 'Text' and 'text' have a value; choose one of these columns"):
        find_column(read_rows(twice), twice, "", ("text",), "text_column")
    assert find_column(read_rows(twice), twice, "text", ("text",), "text_column") == "text"


def test_a_missing_column_is_reported_with_the_existing_ones(tmp_path):
    path = write(tmp_path, "a.tsv", "id\tReview\n1\tx\n")
    with pytest.raises(DataError, match="no column 'body'; choose one of 'id', 'Review'"):
        find_column(read_rows(path), path, "body", ("text",), "text_column")
    with pytest.raises(DataError, match=r"none of the columns 'id', 'Review' .*\(label\).*--label-column NAME"):
        find_column(read_rows(path), path, "", ("label",), "label_column")


def test_a_pipe_is_not_called_missing(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv: a pipe or device, which is not read; write its content to a file"):
        read_rows(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r" is a folder; name a file in it"):
        read_rows(tmp_path)
