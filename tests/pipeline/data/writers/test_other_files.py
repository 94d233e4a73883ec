"""Spreadsheets, JSON, Parquet and Arrow with added columns: types, nested values and schemas are kept."""

import datetime
import json
import math
import zipfile

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import python_calamine
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.readers.tables import read_rows
from pipeline.data.writers import spreadsheet_files
from pipeline.data.writers.grid import Added, Grid, added_names, keys_of
from pipeline.data.writers.results import check_size, content_of, open_grid
from pipeline.errors import DataError

ADDED = Added(["label", "probability", "warning"], [["x", 0.25, None], [None, None, "empty"]])


def sheet(path, number=0):
    with python_calamine.load_workbook(path) as book:
        return book.get_sheet_by_index(number).to_python()


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("=+-@\n\t_x0041_"), min_size=1,
               max_size=12)
VALUES = st.one_of(
    TEXT, TEXT.map(lambda text: f"={text}"), st.just("_x0041_"), st.booleans(), st.integers(-2**53, 2**53),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x == 0 or 1e-300 < abs(x) < 1e300),
    st.datetimes(datetime.datetime(1901, 1, 1), datetime.datetime(2100, 1, 1)).map(
        lambda at: at.replace(microsecond=0, hour=max(1, at.hour))),
    st.dates(datetime.date(1901, 1, 1), datetime.date(2100, 1, 1)))


@given(st.lists(st.lists(VALUES, min_size=2, max_size=2), min_size=1, max_size=4))
def test_cells_of_a_spreadsheet_keep_their_types(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("xlsx") / "a.xlsx"
    grid = Grid(["text", "n"], rows, range(len(rows)), sheet="Fälle")
    path.write_bytes(spreadsheet_files.new_file(grid, Added(["label"], [["=1+1"]] * len(rows))))
    found = sheet(path)
    assert found[0] == ["text", "n", "label"]
    for row, original in zip(found[1:], rows, strict=True):
        assert row[2] == "=1+1"
        for value, expected in zip(row, original, strict=False):
            number = isinstance(expected, int | float) and not isinstance(expected, bool)
            assert type(value) is (float if number else type(expected))
            assert value == (pytest.approx(expected, rel=1e-15) if number else expected)
    with zipfile.ZipFile(path) as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")


def test_a_spreadsheet_is_written_as_it_was_read(tmp_path):
    import xlsxwriter

    path, result = tmp_path / "a.xlsx", tmp_path / "r.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("Info").write(0, 0, "Export")
        table = book.add_worksheet("Nachrichten")
        for place, value in {"A1": "Export 2024", "A3": "text", "B3": "n", "C3": "text", "A4": "a", "B4": 1.5,
                             "A6": "b", "B6": True, "C6": "01067"}.items():
            table.write(place, value) if value != "01067" else table.write_string(place, value)
    read = read_rows(path)
    grid = open_grid(read)
    assert (len(grid.rows), list(grid.filled), grid.sheet) == (3, [0, 2], "Nachrichten")
    rows = [ADDED.rows[0], [None] * 3, ADDED.rows[1]]
    result.write_bytes(content_of(result, path, grid, Added(ADDED.names, rows)))
    assert sheet(result) == [
        ["Export 2024", "", "", "", "", ""], [""] * 6, ["text", "n", "text", "label", "probability", "warning"],
        ["a", 1.5, "", "x", 0.25, ""], [""] * 6, ["b", True, "01067", "", "", "empty"]]
    with python_calamine.load_workbook(result) as book:
        assert book.sheet_names == ["Nachrichten"]


@pytest.mark.parametrize("value", [math.inf, math.nan, 2**60, datetime.date(1850, 1, 1), [1, {"a": 2}], b"\xff",
                                   datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(-1)])
def test_values_that_excel_does_not_have_are_text(value, tmp_path):
    (tmp_path / "a.xlsx").write_bytes(spreadsheet_files.new_file(Grid(["n"], [[value]], [0]), Added(["x"], [["y"]])))
    (cell, _) = sheet(tmp_path / "a.xlsx")[1]
    assert isinstance(cell, str)


def test_what_excel_cannot_have_is_refused_before_any_work(tmp_path):
    with pytest.raises(DataError, match=r"r\.xlsx: row 2 has a cell of more than 32,767 characters.*\.csv"):
        check_size(tmp_path / "r.xlsx", Grid(["text"], [["a"], ["x" * 40_000]], [0, 1]), ["label"])
    with pytest.raises(DataError, match="at most 1,048,576"):
        check_size(tmp_path / "r.xlsx", Grid(["text"], [[""]] * 1_048_576, [0]), ["label"])
    check_size(tmp_path / "r.csv", Grid(["text"], [["x" * 40_000]], [0]), ["label"])


@pytest.mark.parametrize("name", ["r.jsonl", "r.json", "r.ndjson"])
def test_nested_values_of_json_are_kept(name, tmp_path):
    rows = [{"text": "a", "deep": {"list": [1, 2.5, None, {"x": True}]}, "n": 10**30}, {"n": None, "text": "é\u2028"}]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    made = content_of(tmp_path / name, path, open_grid(read_rows(path)), ADDED).decode()
    found = json.loads(made) if name == "r.json" else list(map(json.loads, made.split("\n")[:-1]))
    assert found == [{**row, **dict(zip(ADDED.names, values, strict=True))}
                     for row, values in zip(rows, ADDED.rows, strict=True)]


FEATURES = {"info": {"features": {"text": {"dtype": "string", "_type": "Value"},
                                  "topic": {"names": ["news", "sport"], "_type": "ClassLabel"}}}}


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_the_schema_of_parquet_is_kept(suffix, tmp_path):
    schema = pa.schema([("text", pa.string()), ("topic", pa.int64()), ("at", pa.timestamp("ns", "Europe/Berlin")),
                        ("n", pa.decimal128(10, 2)), ("words", pa.list_(pa.dictionary(pa.int8(), pa.string())))],
                       metadata={b"mine": b"1", b"huggingface": json.dumps(FEATURES).encode()})
    at = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    table = pa.table([["a", "b"], [0, 1], [at, None], [None, None], [["x"], None]], schema=schema)
    path, result = tmp_path / f"a{suffix}", tmp_path / f"r{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, schema) as file:
            file.write_table(table)
    original = pq.read_table(path) if suffix == ".parquet" else pa.ipc.open_file(path).read_all()
    result.write_bytes(content_of(result, path, open_grid(read_rows(path)), ADDED))
    found = pq.read_table(result) if suffix == ".parquet" else pa.ipc.open_file(result).read_all()
    kept = found.select(original.column_names)
    assert kept.equals(original)
    assert kept.schema.equals(original.schema)
    assert found.schema.metadata[b"mine"] == b"1"
    assert found.select(ADDED.names).to_pylist() == [dict(zip(ADDED.names, row, strict=True)) for row in ADDED.rows]
    features = json.loads(found.schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == found.column_names[:2] + ADDED.names  # of the columns that the file described
    assert features["topic"]["names"] == ["news", "sport"]


def test_class_names_are_written_into_other_formats(tmp_path):
    table = pa.table({"text": ["a", "b"], "topic": [0, 1]}).replace_schema_metadata(
        {b"huggingface": json.dumps(FEATURES).encode()})
    pq.write_table(table, tmp_path / "a.parquet")
    grid = open_grid(read_rows(tmp_path / "a.parquet"))
    made = content_of(tmp_path / "r.csv", tmp_path / "a.parquet", grid, ADDED).decode()
    assert made.splitlines()[1] == "a,news,x,0.2500,"


def test_mixed_columns_become_text_in_parquet(tmp_path):
    grid = Grid(["text", "", "n", "n"], [["a", 1, "x", 1.5], ["b", "two", 3, ""]], [0, 1])
    (tmp_path / "r.parquet").write_bytes(content_of(tmp_path / "r.parquet", None, grid, ADDED))
    assert pq.read_table(tmp_path / "r.parquet").to_pylist() == [
        {"text": "a", "column 2": "1", "n": "x", "n (2)": 1.5, "label": "x", "probability": 0.25, "warning": None},
        {"text": "b", "column 2": "two", "n": "3", "n (2)": None, "label": None, "probability": None,
         "warning": "empty"}]


def test_names_that_exist_get_a_suffix():
    assert added_names(["Label ", "label (vecformer)", "text"], ["label", "probability", "label"]) == [
        "label (vecformer 2)", "probability", "label (vecformer 3)"]
    assert keys_of(Grid(["a", "a", "", "column 3"], [], [])) == ["a", "a (2)", "column 3", "column 3 (2)"]
