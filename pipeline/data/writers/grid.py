"""A table with all its rows and columns, blank and unnamed ones included, and the columns that are added to it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from pipeline.data.readers.cells import is_missing
from pipeline.data.readers.rows import DelimitedLayout, SheetLayout, Table
from pipeline.data.writers.delimited_records import Record, records_of

OWN = "vecformer"


class _Missing:
    """The value of a key that an object of JSON lacks."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


@dataclass(frozen=True)
class Grid:
    """The rows of a table.

    Attributes:
        names: the names of the columns as in the file; some may be blank or repeated.
        rows: the values of all rows.
        filled: index of each row that is not blank, in the order in which they are read.
        title: rows before the names of the columns.
        sheet: name of the sheet; "" for none.
        records: for delimited text, all its lines.
        layout: for delimited text, how the rows are written.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]
    filled: Sequence[int]
    title: Sequence[Sequence[Any]] = ()
    sheet: str = ""
    records: Sequence[Record] = field(default=(), repr=False)
    layout: DelimitedLayout | None = None


@dataclass(frozen=True)
class Added:
    """Columns that are added to a grid.

    Attributes:
        names: their names, none of which the grid has.
        rows: a value for each name and row of the grid; None for an empty cell.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]


def grid_of(table: Table, text: str = "") -> Grid:
    """Return the grid of a table.

    Args:
        table: the table.
        text: for delimited text, the content of its file.
    """
    if isinstance(table.layout, SheetLayout):
        sheet, at = table.layout, table.layout.names_row
        names = [cell_text(name).strip() for name in sheet.rows[at]]
        filled = [row.line - sheet.first - at - 1 for row in table.rows]
        return Grid(names, sheet.rows[at + 1 :], filled, sheet.rows[:at], sheet.name)
    if isinstance(table.layout, DelimitedLayout):
        records = records_of(text, table.layout, [row.line for row in table.rows])
        at = next(i for i, record in enumerate(records) if record.kind == "names")
        body = records[at + 1 :]
        return Grid([name.strip() for name in records[at].cells], [record.cells for record in body],
                    [i for i, record in enumerate(body) if record.kind == "row"],
                    [record.cells for record in records[:at] if not record.names_separator], records=records,
                    layout=table.layout)
    rows = [[row.get(name, MISSING) for name in table.columns] for row in table.rows]
    return Grid(table.columns, rows, range(len(rows)))


def added_names(existing: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Return names of new columns; one that exists already gets a suffix: ``label (vecformer)``."""
    taken = {name.strip().casefold() for name in existing}
    names = []
    for name in wanted:
        chosen, number = name, 1
        while chosen.casefold() in taken:
            chosen = f"{name} ({OWN})" if number == 1 else f"{name} ({OWN} {number})"
            number += 1
        taken.add(chosen.casefold())
        names.append(chosen)
    return names


def add(grid: Grid, values: Sequence[Mapping[str, Any]]) -> Added:
    """Return the columns of values by name, one mapping for each row of ``grid.filled``."""
    wanted = list(dict.fromkeys(name for one in values for name in one))
    rows: list[list[Any]] = [[None] * len(wanted) for _ in grid.rows]
    for at, one in zip(grid.filled, values, strict=True):
        rows[at] = [one.get(name) for name in wanted]
    return Added(added_names(grid.names, wanted), rows)


def keys_of(grid: Grid) -> list[str]:
    """Return a distinct name for each column, for formats that need one: ``name (2)``, and ``column 3`` for none."""
    keys: list[str] = []
    for place, name in enumerate(grid.names, start=1):
        base = key = name or f"column {place}"
        number = 1
        while key in keys:
            number += 1
            key = f"{base} ({number})"
        keys.append(key)
    return keys


def is_blank_row(row: Sequence[Any]) -> bool:
    """Whether a row has no value."""
    return all(value is MISSING or is_missing(value) for value in row)


def width_of(grid: Grid) -> int:
    """Return the number of columns of the longest row."""
    return max(map(len, (grid.names, *grid.rows, *grid.title)))


def cell_text(value: Any) -> str:
    """Return a value as the text of a cell without types."""
    if isinstance(value, str):
        return value
    if value is None or value is MISSING or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, datetime | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
