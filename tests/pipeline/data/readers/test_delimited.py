"""Separators, encodings and column names of delimited text."""

import bz2
import gzip
import lzma
import string

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.columns import find_column
from pipeline.data.readers.delimited import find_separator
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.tables import read_rows
from pipeline.data.readers.usual_names import USUAL_NAMES
from pipeline.errors import ConfigError, DataError

CELLS = [("caf\u00e9, naïve; \u201cquoted\u201d", "x"), ("10 \u20ac | 3,5 %", "y")]


def table(separator, rows=CELLS, end="\r\n"):
    return "".join(f"{separator.join(row)}{end}" for row in [("text", "label"), *(('"' + a + '"', b) for a, b in rows)])


def write(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def read(path, **config):
    """Return the texts and labels, and what was found."""
    with findings.collecting() as found:
        examples = LabelledReader().read_file(path, DataConfig(**config))
    return [(example.text, example.label) for example in examples], found.notes


@pytest.mark.parametrize(("separator", "name"), [(",", ""), (";", ";"), ("\t", "tab"), ("|", "|")])
def test_separators_are_found_and_reported(tmp_path, separator, name):
    path = write(tmp_path / "a.csv", table(separator))
    note = [f"{path}: separator {name} (detected; --separator CHAR sets another)"] if name else []
    assert read(path) == (CELLS, note)
    assert read(path, separator=name or ",") == (CELLS, [])


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_first_line_that_excel_writes_names_the_separator(tmp_path, first):
    path = write(tmp_path / "a.csv", f"{first}\r\n{table(';')}")
    assert read(path) == (CELLS, [f"{path}: separator ; (from its first line; --separator CHAR sets another)"])
    assert [row.line for row in read_rows(path)] == [3, 4]


def test_decimal_commas_do_not_hide_semicolons(tmp_path):
    content = "text;label;score, mean\nno;x;3,5\nyes;y;4,25\n"
    assert read(write(tmp_path / "a.csv", content))[0] == [("no", "x"), ("yes", "y")]


def test_a_tsv_file_may_have_other_separators(tmp_path):
    path = write(tmp_path / "a.tsv", table(";"))
    assert read(path) == (CELLS, [f"{path}: separator ; (detected; --separator CHAR sets another)"])
    assert read(write(tmp_path / "b.tsv", 'text\tlabel\n"a;b\tx\n')) == ([('"a;b', "x")], [])
    assert read(write(tmp_path / "c.tsv", "text;label\na;x\n"), separator=";") == ([("a", "x")], [])


TEXT = st.text(string.ascii_letters + ' ,;|\t"', max_size=12)


@given(rows=st.lists(st.tuples(TEXT, st.sampled_from("xy")), min_size=1, max_size=20),
       separator=st.sampled_from(",;\t|"))
def test_quoted_cells_with_any_separator(rows, separator):
    quoted = [('"' + text.replace('"', '""') + '"', label) for text, label in rows]
    content = "".join(f"{separator.join(row)}\n" for row in [("text", "label"), *quoted])
    assert find_separator(content, USUAL_NAMES) == (separator, 1.0)


def test_a_bad_row_is_named_by_the_separator_of_the_others(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv:4: 3 cells, but the header has 2 columns \(text, label\); put cells"):
        read(write(tmp_path / "a.csv", "text;label\na;x\nb;y\nc;d;x\n"))


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8", ""), ("utf-8-sig", ""), ("cp1252", "WINDOWS-1252"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16-LE"),
     ("utf-16-be", "UTF-16-BE"), ("utf-32", "UTF-32")],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_encodings_are_found_and_reported(tmp_path, encoding, name, suffix):
    rows = [(f"{text} {i}", label) for i in range(5) for text, label in CELLS]
    unquoted = "".join("\t".join(row) + "\r\n" for row in [("text", "label"), *rows])
    content = unquoted if suffix == ".tsv" else table(",", rows)
    path = write(tmp_path / f"a{suffix}", content, encoding)
    assert read(path) == (rows, [f"{path}: encoding {name} (detected; --encoding NAME sets another)"] if name else [])
    assert read(path, encoding=encoding) == (rows, [])


def test_a_wrong_separator_is_one_message(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv: the first line is the only column 'text;label'.*separated by ';'"):
        read(write(tmp_path / "a.csv", "text;label\na;x\n"), separator=",")


def test_a_wrong_encoding_is_one_message(tmp_path):
    path = write(tmp_path / "a.csv", table(","))
    with pytest.raises(DataError, match=r"a\.csv:2: not ASCII: byte 0xc3 .*--encoding NAME"):
        read(path, encoding="ascii")
    with pytest.raises(DataError, match="no encoding is called 'utf-9'; examples are utf-8"):
        read(path, encoding="utf-9")


def test_a_broken_byte_in_a_utf8_file_is_reported_with_its_line(tmp_path):
    path = write(tmp_path / "a.csv", table(",").encode() + b"bro\xe9ken,y\r\n")
    with findings.collecting() as found:
        examples = LabelledReader().read_file(path, DataConfig())
    assert [example.text for example in examples] == [*(text for text, _ in CELLS), "bro\ufffdken"]
    (warning,) = found.warnings
    assert warning.startswith(f"{path}:4: not UTF-8; 1 such bytes in a text that is UTF-8 otherwise are read as U+FFFD")


@pytest.mark.parametrize("separator", ["tab", "\\t", "\t"])
def test_names_of_a_tab(tmp_path, separator):
    assert read(write(tmp_path / "a.csv", table("\t")), separator=separator)[0] == CELLS


@pytest.mark.parametrize("separator", ["ab", '"', "\n"])
def test_invalid_separators(separator):
    with pytest.raises(ValueError, match=r"data\.separator"):
        DataConfig(separator=separator)
    with pytest.raises(ConfigError, match=r"data\.separator"):
        from pipeline.config import RunConfig

        RunConfig.from_mapping({"data": {"separator": separator}})


def test_repeated_column_names_are_refused_with_their_positions(tmp_path):
    path = write(tmp_path / "a.csv", "id,text,label,id,label\n1,a,x,2,y\n")
    rows = read_rows(path)
    assert find_column(rows, path, "", ("text",), "text_column") == "text"  # other columns may be repeated
    with pytest.raises(DataError, match="columns 3 and 5 are called 'label'; rename one of them"):
        find_column(rows, path, "", ("label",), "label_column")


def test_blank_column_names_are_no_columns(tmp_path):
    path = write(tmp_path / "a.csv", ",text,label,,\n0,a,x,,\n1,b,y,,\n")
    assert read_rows(path).columns == ("text", "label")
    assert read(path)[0] == [("a", "x"), ("b", "y")]


def test_many_columns_are_one_short_message(tmp_path):
    path = write(tmp_path / "a.csv", ",".join(f"c{i}" for i in range(100_000)) + "\n")
    with pytest.raises(DataError, match="100,000 columns; at most 10,000 are read"):
        read_rows(path)
    path = write(tmp_path / "b.csv", ",".join("c" * 100 + str(i) for i in range(5_000)) + "\n" + "," * 4_999 + "\n")
    with pytest.raises(DataError, match="and 4,988 more has a usual name") as caught:
        read(path)
    assert len(str(caught.value)) < 2500
    with pytest.raises(DataError, match="5,001 cells, but the header has 5000 columns") as caught:
        read(write(tmp_path / "c.csv", path.read_text() + "," * 5_000 + "\n"))
    assert len(str(caught.value)) < 2500


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard.compress)])
@pytest.mark.parametrize("base", [".csv", ".tsv", ".jsonl", ".json"])
def test_compressed_tables(tmp_path, suffix, compress, base):
    content = {".csv": table(";"), ".tsv": "text\tlabel\na\tx\n", ".jsonl": '{"text": "a", "label": "x"}\n',
               ".json": '[{"text": "a", "label": "x"}]'}[base]
    plain = read(write(tmp_path / f"a{base}", content))[0]
    assert read(write(tmp_path / f"a{base}{suffix}", compress(content.encode())))[0] == plain
    write(tmp_path / f"train{base}{suffix}", compress(content.encode()))
    write(tmp_path / f"test{base}{suffix}", compress(content.encode()))
    splits = LabelledReader().read(DataConfig(path=str(tmp_path)), seed=1)
    assert [example.text for example in splits.test] == [text for text, _ in plain]


def test_a_compressed_parquet_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a compressed \.parquet file cannot be read; decompress it first"):
        read_rows(write(tmp_path / "a.parquet.gz", gzip.compress(b"PAR1")))
