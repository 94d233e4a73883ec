import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.readers import find_column, known_suffixes, read_rows
from pipeline.errors import DataError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=20)
ROWS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def cells(path):
    return [tuple(row.cells.values()) for row in read_rows(path)]


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


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


@given(content=st.binary(max_size=120), suffix=st.sampled_from(known_suffixes()))
def test_any_bytes_are_rows_or_one_message(folder, content, suffix):
    path = write(folder, f"fuzz{suffix}", content)
    try:
        assert read_rows(path)
    except DataError as error:
        assert str(path) in str(error)


def test_cells_that_are_no_strings_become_strings(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": 5, "label": true, "more": null}\n')
    assert read_rows(path)[0].cells == {"text": "5", "label": "true", "more": ""}


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_kept(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "a\\ud800b \\ud83d\\ude00"}\n')
    assert read_rows(path)[0].cells == {"text": "a\ufffdb 😀"}


def test_lines_are_counted_through_quoted_newlines(tmp_path):
    rows = read_rows(write(tmp_path, "a.csv", 'text,label\n"two\nlines",x\nnext,y\n'))
    assert [row.line for row in rows] == [2, 4]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    assert list(read_rows(write(tmp_path, "a.tsv", "\ufefftext\tlabel\nx\ty\n"))[0].cells) == ["text", "label"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "text\tlabel\nx\ty\nz\n", r"a\.tsv:3: 1 cells where the header has 2 columns \(text, label\)"),
        ("a.tsv", b"text\tlabel\nx\ty\nz\xe9\ty\n", r"a\.tsv:3: not UTF-8 \(byte 0xe9\)"),
        ("a.csv", 'text,label\n"open,y\n', r"a\.csv:2: broken CSV"),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", '["x"]\n', r"a\.jsonl:1: expected an object"),
        ("a.jsonl", "[" * 100_000, r"a\.jsonl:1: JSON that cannot be read"),
        ("a.jsonl", '{"text": ' + "1" * 5000 + "}", r"a\.jsonl:1: JSON that cannot be read"),
        ("a.parquet", "no", r"a\.parquet: not a parquet file"),
        ("a.xlsx", "", r"unknown kind of file '\.xlsx'; known are \.csv"),
        ("a.csv", "", "holds no rows"),
    ],
)
def test_what_is_broken_is_named(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read_rows(write(tmp_path, name, content))


def test_columns_are_guessed_or_named(tmp_path):
    path = write(tmp_path, "a.tsv", "id\tReview\tTopic\n1\tx\ty\n")
    rows = read_rows(path)
    assert find_column(rows, path, "", ("text", "review"), "text_column") == "Review"
    assert find_column(rows, path, "id", ("text",), "text_column") == "id"
    with pytest.raises(DataError, match="no column 'body'; the columns are 'id', 'Review', 'Topic'"):
        find_column(rows, path, "body", ("text",), "text_column")
    with pytest.raises(DataError, match="--label-column NAME"):
        find_column(rows, path, "", ("label",), "label_column")
