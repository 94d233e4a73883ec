"""Spreadsheets of Excel (``.xlsx``)."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.data.writers.grid import MISSING, Added, Grid, cell_text, width_of
from pipeline.errors import DataError

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

MAX_ROWS, MAX_COLUMNS, MAX_CHARACTERS = 1_048_576, 16_384, 32_767  # of Excel
EXACT = 2**53        # integers beyond this are written as text
FIRST_DATE = date(1900, 3, 1)  # Excel counts a day before it that did not exist
MIN_WIDTH, MAX_WIDTH = 8, 60   # of a column, in characters
N_SAMPLE = 200       # rows by which the width of a column is chosen
FORMATS = {"date": 14, "datetime": 22, "time": 21, "timedelta": 46}  # shown in the language of the user's Excel

_NO_SHEET_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f]|^'|'$")


def check(grid: Grid, n_added: int) -> None:
    """Check that the rows of a grid are within the limits of Excel.

    Raises:
        DataError: if there are too many rows or columns, or a cell is too long.
    """
    n_rows, n_columns = len(grid.title) + 1 + len(grid.rows), width_of(grid) + n_added
    if n_rows > MAX_ROWS or n_columns > MAX_COLUMNS:
        raise DataError(f"{n_rows:,} rows and {n_columns:,} columns; a spreadsheet has at most {MAX_ROWS:,} and "
                        f"{MAX_COLUMNS:,}; write the result as .csv, .jsonl or .parquet")
    for number, row in enumerate(grid.rows, start=1):
        if any(len(cell_text(value)) > MAX_CHARACTERS for value in row):
            raise DataError(f"row {number:,} has a cell of more than {MAX_CHARACTERS:,} characters, the most that a "
                            "spreadsheet can have; write the result as .csv, .jsonl or .parquet")


def new_file(grid: Grid, added: Added) -> bytes:
    """Return a spreadsheet with the columns added.

    Numbers, booleans, dates and times keep their type. Text is always text, never a formula, a number or a link.
    """
    import xlsxwriter

    made = io.BytesIO()
    book = xlsxwriter.Workbook(made, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
                                      "strings_to_numbers": False, "nan_inf_to_errors": False})
    bold = book.add_format({"bold": True})
    formats = {kind: book.add_format({"num_format": number}) for kind, number in FORMATS.items()}
    share = book.add_format({"num_format": "0.0000"})
    is_name = 0 < len(grid.sheet) <= 31 and not _NO_SHEET_NAME.search(grid.sheet) and grid.sheet.lower() != "history"
    sheet = book.add_worksheet(grid.sheet if is_name else "Sheet1")
    width = width_of(grid)
    for number, row in enumerate(grid.title):
        _write_row(sheet, number, 0, row, formats)
    top = len(grid.title)
    _write_row(sheet, top, 0, grid.names, formats, bold)
    _write_row(sheet, top, width, added.names, formats, bold)
    for number, (row, values) in enumerate(zip(grid.rows, added.rows, strict=True), start=top + 1):
        _write_row(sheet, number, 0, row, formats)
        _write_row(sheet, number, width, values, formats, share)
    sheet.freeze_panes(top + 1, 0)
    for column, longest in enumerate(_widths(grid, added, width)):
        sheet.set_column(column, column, min(MAX_WIDTH, max(MIN_WIDTH, longest + 1)))
    book.close()
    return made.getvalue()


def _write_row(
    sheet: Worksheet, row: int, first: int, values: Sequence[Any], formats: dict[str, Format],
    other: Format | None = None,
) -> None:
    for column, value in enumerate(values, start=first):
        kind = type(value).__name__
        if value is None or value is MISSING or value == "":
            continue
        if isinstance(value, bool):
            sheet.write_boolean(row, column, value)
        elif isinstance(value, int | float) and _is_number(value):
            sheet.write_number(row, column, value, other if isinstance(value, float) else None)
        elif kind in formats and _is_date(value):
            sheet.write_datetime(row, column, value, formats[kind])
        else:
            sheet.write_string(row, column, cell_text(value)[:MAX_CHARACTERS], other)


def _is_number(value: int | float) -> bool:
    return abs(value) <= EXACT if isinstance(value, int) else math.isfinite(value)


def _is_date(value: Any) -> bool:
    """Whether Excel can represent a date or time; it counts days from 1900 and has no time zones."""
    if isinstance(value, datetime):
        return value.tzinfo is None and value.date() >= FIRST_DATE
    if isinstance(value, date):
        return value >= FIRST_DATE
    return isinstance(value, time | timedelta) and (not isinstance(value, timedelta) or value >= timedelta(0))


def _widths(grid: Grid, added: Added, width: int) -> list[int]:
    longest = [0] * (width + len(added.names))
    for first, rows in ((0, (grid.names, *grid.rows[:N_SAMPLE])), (width, (added.names, *added.rows[:N_SAMPLE]))):
        for row in rows:
            for column, value in enumerate(row, start=first):
                longest[column] = max(longest[column], max(map(len, cell_text(value).split("\n"))))
    return longest
