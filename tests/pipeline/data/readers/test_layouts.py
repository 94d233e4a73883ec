"""Tables that do not begin with their column names, on another sheet, and JSON of other layouts: advice that works."""

import json

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.cells import as_number
from pipeline.data.readers.labelled import LabelledReader
from pipeline.errors import DataError
from tests.pipeline.data.readers.spreadsheet_files import write_xlsx

TABLE = [["text", "label"], ["a", "x"], ["b", "y"]]


def read(path, **config):
    with findings.collecting() as found:
        examples = LabelledReader().read_file(path, DataConfig(**config))
    return [(example.text, example.label) for example in examples], found.notes


def test_lines_before_the_column_names_are_named(tmp_path):
    path = tmp_path / "a.csv"
    table = "".join(f"{','.join(row)}\n" for row in TABLE)
    path.write_text("Input,Output\n" + table)
    with pytest.raises(DataError, match="line 2 seems to be the column names: delete the lines before it"):
        read(path)
    path.write_text(table)  # as the message says
    assert read(path)[0] == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(("title", "line"), [("Survey 2024\n", 2), ("Survey 2024\n\n", 3), ("Survey,\n,\n", 3)])
def test_a_title_before_the_column_names_is_left_out(title, line, separator, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text((title + "".join(f"{','.join(row)}\n" for row in TABLE)).replace(",", separator))
    found, notes = read(path)
    assert found == [("a", "x"), ("b", "y")]
    assert [note for note in notes if f"names of the columns are in line {line}" in note]


def test_a_title_before_the_column_names_of_a_sheet_is_left_out(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", S=[["Survey", None], [], *TABLE])
    found, notes = read(path)
    assert (found, notes) == ([("a", "x"), ("b", "y")], [
        f"{path}: the names of the columns are in row 3; the rows before it are a title (detected)"])
    path = write_xlsx(tmp_path / "b.xlsx", S=[["Survey", None], ["Satz", "Art"], ["a", "x"]])
    assert read(path, text_column="Satz", label_column="Art")[0] == [("a", "x")]


def test_a_sheet_with_usual_or_configured_names_is_read_before_others(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", Info=[["Report"], ["Author"]], Data=TABLE)
    assert read(path) == ([("a", "x"), ("b", "y")], [f"{path}: sheet 'Data'; not read: 'Info'"])
    path = write_xlsx(tmp_path / "b.xlsx", Mine=[["Satz", "Art"], ["a", "x"]], Other=TABLE)
    assert read(path, text_column="Satz", label_column="Art")[0] == [("a", "x")]
    path = write_xlsx(tmp_path / "c.xlsx", First=TABLE, Other=[*TABLE, ["c", "z"]])
    assert read(path)[0] == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("layout", [
    {"text": {"0": "a", "1": "b"}, "label": {"0": "x", "1": "y"}},
    {"columns": ["text", "label"], "index": [0], "data": [["a", "x"]]},
    {"train": [{"text": "a", "label": "x"}], "test": []}, {"rows": [{"row": {"text": "a", "label": "x"}}]},
])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_that_has_no_rows_is_named(layout, indent, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(layout, indent=indent))
    with pytest.raises(DataError, match=r"a\.json: (one|an) object .*expected a list of objects .*orient='records'"):
        read(path)


@pytest.mark.parametrize("row", [{"translation": {"en": "a", "de": "b"}}, {"tokens": ["a"], "ner_tags": ["O"]}])
def test_one_row_of_objects_or_lists_is_a_row(row, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(DataError, match="has a usual name"):
        read(path)


def test_an_underscore_is_not_part_of_a_number():
    with pytest.raises(DataError, match="not a finite number"):
        as_number("1_000", "a.csv:2", "score")
