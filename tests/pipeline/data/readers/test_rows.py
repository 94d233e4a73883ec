"""Rows in a few lists: the same rows as separate objects, whatever columns each has."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.readers import findings
from pipeline.data.readers.rows import MAX_SHARED_LENGTH, Row, Rows, Table
from pipeline.errors import DataError

FILE = Path("a.jsonl")
VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.text(max_size=2), max_size=2))
RECORDS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), max_size=8)


def rows_of(records):
    rows = Rows(FILE)
    for line, record in enumerate(records, start=1):
        rows.add(tuple(record), record.values(), line)
    return rows


@given(RECORDS)
def test_rows_are_those_that_were_added(records):
    rows = rows_of(records)
    assert [row.cells for row in rows] == records
    assert [row.line for row in rows] == list(range(1, len(records) + 1))
    assert [row.cells for row in rows[1:]] == records[1:]
    assert rows == rows_of(records)
    assert rows == rows_of([dict(reversed(record.items())) for record in records])  # in any order of the columns
    for row, record in zip(rows, records, strict=True):
        assert row == Row.of(record, row.line, FILE)
        assert [row.get(name) for name in record] == list(record.values())
        assert row.get("no column", 3) == 3


def test_rows_with_other_values_are_not_equal():
    assert rows_of([{"a": 1}]) != rows_of([{"a": 2}])
    assert rows_of([{"a": 1}]) != rows_of([{"a": 1}, {"a": 1}])
    assert rows_of([{"a": 1}]) != [Row.of({"a": 1}, 1, FILE)]


def test_the_last_of_equal_columns_has_the_value():
    rows = Rows(FILE)
    rows.add(("a", "b", "a"), (1, 2, 3), 1)
    assert rows[0].cells == {"a": 3, "b": 2}


def test_an_index_out_of_range_is_an_error():
    with pytest.raises(IndexError):
        rows_of([{"a": 1}])[1]


def test_equal_short_strings_are_one_object():
    def copies(length):
        return [{"label": "".join(["x"] * length)} for _ in range(2)]

    one, other = rows_of(copies(MAX_SHARED_LENGTH))
    assert one.get("label") is other.get("label")
    one, other = rows_of(copies(MAX_SHARED_LENGTH + 1))
    assert one.get("label") is not other.get("label")


def test_spellings_of_a_column_are_merged():
    records = [{"text": "a", "n": 1}, {"Text": "b"}, {"TEXT ": "c", "text": " "}, {"n": 2}]
    table = Table(FILE, rows_of(records), ("text", "n", "Text", "TEXT "), {})
    with findings.collecting() as found:
        table.merge_spellings("text", prefer=False)
    assert [row.get("text") for row in table] == ["a", "b", "c", None]
    assert [row.get("n") for row in table] == [1, None, None, 2]
    assert any("2 rows" in note for note in found.notes)


def test_two_values_under_spellings_of_a_column_are_an_error_and_change_nothing():
    records = [{"Text": "b"}, {"text": "a", "Text": "b"}]
    table = Table(FILE, rows_of(records), ("text", "Text"), {})
    with findings.collecting(), pytest.raises(DataError, match=r"a\.jsonl:2: both 'text' and 'Text' have a value"):
        table.merge_spellings("text", prefer=False)
    assert [row.cells for row in table] == records
