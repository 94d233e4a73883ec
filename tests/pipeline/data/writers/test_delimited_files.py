"""Columns added to delimited text: everything else stays as it is, byte by byte."""

import codecs
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.config import DataConfig
from pipeline.data.readers.tables import read_rows
from pipeline.data.writers.grid import Added, add
from pipeline.data.writers.results import content_of, open_grid


def extended(path, content, names=("label", "p"), rows=None, **config):
    """Return the bytes of a table with columns added, and its grid."""
    path.write_bytes(content)
    table = read_rows(path, DataConfig(**config))
    grid = open_grid(table, config.get("encoding", ""))
    values = rows or [dict(zip(names, ("x", 0.25), strict=True)) for _ in grid.filled]
    added = add(grid, values)
    return content_of(path, path, grid, added, config.get("encoding", "")), grid


@pytest.mark.parametrize(("content", "expected"), [
    ("text,n\na,1\nb,2\n", "text,n,label,p\na,1,x,0.2500\nb,2,x,0.2500\n"),
    ("text;n\r\na;1\r\nb;2", "text;n;label;p\r\na;1;x;0,2500\r\nb;2;x;0,2500"),
    ("text;n\na;1.5\nb;2.5\n", "text;n;label;p\na;1.5;x;0.2500\nb;2.5;x;0.2500\n"),
    ("text\tn\na\t1,5\nb\t2\n", "text\tn\tlabel\tp\na\t1,5\tx\t0,2500\nb\t2\tx\t0,2500\n"),
    ('"text","n"\n"a","1"\n', '"text","n","label","p"\n"a","1","x","0.2500"\n'),
    ('text, n\n"a, b", 1\n', 'text, n,label,p\n"a, b", 1,x,0.2500\n'),
    ('"text", "n"\n"a, b", "1"\n', '"text", "n", "label", "p"\n"a, b", "1", "x", "0.2500"\n'),
    ('text,n\n"a\n\nb ""c""",1\n\n\nd,2\n', 'text,n,label,p\n"a\n\nb ""c""",1,x,0.2500\n\n\nd,2,x,0.2500\n'),
    ("sep=;\r\ntext;n\r\na;1\r\n", "sep=;\r\ntext;n;label;p\r\na;1;x;0,2500\r\n"),
    ("Report;\n;\ntext;n\na;1\n", "Report;;;\n;;;\ntext;n;label;p\na;1;x;0,2500\n"),
    ("text\na\n\nb\n", "text,label,p\na,x,0.2500\n\nb,x,0.2500\n"),
    ("text,,,n,n\na,1,2,3,4\n", "text,,,n,n,label,p\na,1,2,3,4,x,0.2500\n"),
    ("label,text\nold,a\n", "label,text,label (vecformer),p\nold,a,x,0.2500\n"),
    ("text,n\ra,1\rb,2\r", "text,n,label,p\ra,1,x,0.2500\rb,2,x,0.2500\r"),
])
def test_the_dialect_of_the_table(content, expected, tmp_path):
    path = tmp_path / ("a.tsv" if "\t" in content else "a.csv")
    assert extended(path, content.encode())[0].decode() == expected


def test_a_table_without_quoting_keeps_quotes_and_has_no_tabs_in_added_cells(tmp_path):
    content = 'text\tn\n"a\t1\n\t\nb"c""\t2\n'
    made, _ = extended(tmp_path / "a.tsv", content.encode(), rows=[{"label": "x\ty"}, {"label": "a\nb"}])
    assert made.decode() == 'text\tn\tlabel\n"a\t1\tx y\n\t\t\nb"c""\t2\ta b\n'


@pytest.mark.parametrize(("mark", "codec"), [
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF32_LE, "utf-32-le"), (b"", "cp1252"), (b"", "utf-8"), (b"", "utf-16-le")])
def test_the_encoding_of_the_table(mark, codec, tmp_path):
    content = "text;n\r\nGrüße aus Köln über Straßen;1\r\nschöne Tür;2\r\n"
    made, _ = extended(tmp_path / "a.csv", mark + content.encode(codec), rows=[{"label": "Mängel"}, {"label": "ß"}])
    lines = content.splitlines()
    assert made == mark + f"{lines[0]};label\r\n{lines[1]};Mängel\r\n{lines[2]};ß\r\n".encode(codec)


def test_a_named_encoding(tmp_path):
    made, _ = extended(tmp_path / "a.csv", "text,n\nтекст,1\n".encode("koi8-r"), rows=[{"label": "да"}],
                       encoding="koi8-r")
    assert made.decode("koi8-r") == "text,n,label\nтекст,1,да\n"


def test_a_character_that_the_encoding_lacks_makes_the_result_utf8(tmp_path, caplog):
    made, _ = extended(tmp_path / "a.csv", "text;n\nGrüße über Köln;1\n".encode("cp1252"), rows=[{"label": "да"}])
    assert made == codecs.BOM_UTF8 + "text;n;label\nGrüße über Köln;1;да\n".encode()
    assert "WINDOWS-1252 has no character" in caplog.text


CELLS = st.text(st.sampled_from("ab1 ;,\t\"\n\r'=é-\u2028|"), max_size=5)


@given(st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5)),
       st.sampled_from(",;\t|"), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.sampled_from(["\n", "\r\n"]),
       CELLS)
def test_any_table_of_csv_keeps_its_cells(tmp_path_factory, rows, separator, quoting, end, label):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    made = io.StringIO()
    names = ["text", *(f"n{i}" for i in range(len(rows[0]) - 1))]
    if quoting == csv.QUOTE_MINIMAL:  # Python's writer does not quote CR
        rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    csv.writer(made, delimiter=separator, quoting=quoting, lineterminator=end).writerows([names, *rows])
    content = made.getvalue()
    found, grid = extended(path, content.encode(), rows=[{"label": label}] * len(rows), separator=separator)
    assert list(grid.rows) == rows
    again = list(csv.reader(io.StringIO(found.decode(), newline=""), delimiter=separator, strict=True))
    assert again == [[*names, "label"], *([*row, label] for row in rows)]
    assert found.decode().startswith(content[: content.index(end)])
    for record in grid.records:  # every row is in the result as it is written in the table
        assert record.written + separator in found.decode()


def test_new_files(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a;b\\rc", "n": 1.50, "list": ["x", "y"]}\n{"text": "é", "deep": {"k": [true, null]}}\n')
    table = read_rows(path)
    grid = open_grid(table)
    added = Added(["label", "p"], [["=x", 0.25], ["y", None]])
    for name, separator in (("r.csv", ","), ("r.tsv", "\t")):
        rows = list(csv.reader(io.StringIO(content_of(tmp_path / name, path, grid, added).decode(), newline=""),
                               delimiter=separator))
        assert rows == [["text", "n", "list", "deep", "label", "p"], ["a;b\rc", "1.5", "x, y", "", "=x", "0.2500"],
                        ["é", "", "", '{"k": [true, null]}', "y", ""]]
