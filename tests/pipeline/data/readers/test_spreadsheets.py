"""Spreadsheets: the sheet that is read, its cells, and damaged files."""

import datetime

import pytest
from spreadsheet_files import write_ods, write_xlsx

from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.tables import read_rows
from pipeline.errors import DataError

ROWS = [["Text ", "Label", "n", None], ["h\u00e9llo\nthere", 1, 1.5, None], [None, None, None, None],
        [datetime.date(2020, 1, 2), True, 2, None]]


def test_cells_of_a_sheet(tmp_path):
    table = read_rows(write_xlsx(tmp_path / "a.xlsx", Data=ROWS))
    assert table.columns == ("Text", "Label", "n")
    assert [row.line for row in table] == [2, 4]
    assert [[row.text(name) for name in table.columns] for row in table] == [
        ["h\u00e9llo\nthere", "1", "1.5"], ["2020-01-02", "true", "2"]]


def test_the_first_sheet_with_rows_is_read_and_others_are_reported(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", Empty=[], Title=[["Report"]], Data=[["text", "label"], ["a", "x"]],
                      Old=[["b"], ["c"]])
    with findings.collecting() as found:
        (example,) = LabelledReader().read_file(path, DataConfig())
    assert (example.text, example.label, example.where) == ("a", "x", f"{path}:2")
    assert found.notes == [f"{path}: sheet 'Data'; not read: 'Title', 'Old'"]


def test_an_open_document_sheet(tmp_path):
    cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    rows = "".join(f"<table:table-row>{''.join(map(cell.format, row))}</table:table-row>"
                   for row in [("text", "label"), ("a", "x"), ("b", "y")])
    table = read_rows(write_ods(tmp_path / "a.ods", f'<table:table table:name="S">{rows}</table:table>'))
    assert [(row.text("text"), row.label("label")) for row in table] == [("a", "x"), ("b", "y")]


def test_a_cell_far_from_the_table_is_one_message(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", Data={"A1": "text", "B1": "label", "A2": "a", "XFD1048576": "x"})
    with pytest.raises(DataError, match="delete the rows and columns after the table"):
        read_rows(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), b"text,label\n"])
@pytest.mark.parametrize("suffix", [".xlsx", ".xls", ".ods"])
def test_other_content_is_one_message(tmp_path, content, suffix):
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\{suffix}: not a spreadsheet, or damaged \(.*save it again, or export"):
        read_rows(tmp_path / f"a{suffix}")


def test_damaged_files_are_rows_or_one_message(tmp_path):
    good = write_xlsx(tmp_path / "a.xlsx", Data=ROWS).read_bytes()
    for at in range(0, len(good), len(good) // 12):
        for content in (good[:at], good[:at] + bytes([good[at] ^ 8]) + good[at + 1:], good[:at] + b"junk" + good[at:]):
            (tmp_path / "b.xlsx").write_bytes(content)
            try:
                assert read_rows(tmp_path / "b.xlsx").rows
            except DataError as error:
                assert "b.xlsx" in str(error)
                assert len(str(error)) < 600


def test_a_sheet_with_a_header_only_has_no_rows(tmp_path):
    with pytest.raises(DataError, match="the file has no rows"):
        read_rows(write_xlsx(tmp_path / "a.xlsx", Data=[["text", "label"]]))
