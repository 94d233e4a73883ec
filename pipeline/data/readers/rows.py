"""A table in memory: rows with the values of the file, and the names of its columns."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from embeddings.table import listing
from embeddings.table.paths import written
from pipeline.data.readers import cells as rules
from pipeline.data.readers import findings
from pipeline.errors import DataError

MAX_COLUMNS = 10_000
SHOWN_COLUMNS = 12
MAX_TITLE = 10  # rows that may precede the names of the columns


@dataclass(frozen=True)
class DelimitedLayout:
    """How the rows of delimited text are written.

    Attributes:
        separator: separator of the cells.
        quoted: whether cells may be in double quotes.
        spaces: whether a space follows each separator.
        names_line: line of the names of the columns, from 1.
    """

    separator: str
    quoted: bool
    spaces: bool
    names_line: int


@dataclass(frozen=True)
class SheetLayout:
    """A sheet of a spreadsheet.

    Attributes:
        name: name of the sheet.
        rows: all its rows, with values of the types string, float, int, bool, ``datetime``, ``date``, ``time`` and
            ``timedelta``; "" for an empty cell.
        first: row number of the first of them in the file, from 1.
        names_row: index in ``rows`` of the names of the columns; rows before it are a title.
    """

    name: str
    rows: Sequence[Sequence[Any]]
    first: int
    names_row: int


@dataclass(slots=True)
class Row:
    """A row of a table.

    Attributes:
        cells: the values of the file by column name, unconverted; a row of JSON may lack some.
        line: line number in the file, from 1 (row number in Parquet and Arrow files).
        path: the file.
    """

    cells: dict[str, Any]
    line: int
    path: Path = field(compare=False)

    @property
    def where(self) -> str:
        """Its place: ``file:line``."""
        return f"{written(self.path)}:{self.line}"

    def is_missing(self, column: str) -> bool:
        """Whether the row has no value in a column; see :func:`pipeline.data.readers.cells.is_missing`."""
        return rules.is_missing(self.cells.get(column))

    def text(self, column: str) -> str:
        """Return a text; see :func:`pipeline.data.readers.cells.as_text`."""
        value = self.cells.get(column)
        if type(value) is str and value.isascii():
            return value
        return rules.as_text(value, self.where, column)

    def label(self, column: str) -> str:
        """Return a label; see :func:`pipeline.data.readers.cells.as_label`."""
        value = self.cells.get(column)
        if type(value) is str and value.isascii() and "[" not in value:
            return value.strip()
        return rules.as_label(value, self.where, column)

    def labels(self, column: str, separator: str = "") -> list[str]:
        """Return labels; see :func:`pipeline.data.readers.cells.as_labels`.

        An empty list in the file and a missing value both give []; :meth:`is_unlabelled` tells them apart.
        """
        return rules.as_labels(self.cells.get(column), self.where, column, separator)

    def is_unlabelled(self, column: str) -> bool:
        """Whether the labels of a column are unknown; an empty list means that no label applies."""
        return not isinstance(self.cells.get(column), list) and self.is_missing(column)

    def number(self, column: str) -> float:
        """Return a number; see :func:`pipeline.data.readers.cells.as_number`."""
        return rules.as_number(self.cells.get(column), self.where, column)


@dataclass(frozen=True)
class Table(Sequence[Row]):
    """The rows of one file.

    Attributes:
        path: the file.
        rows: at least one.
        columns: the names of the columns of all rows, in order of first occurrence.
        repeated: for each column name that occurs more than once in a header or a JSON object, where; its last
            occurrence has the value.
        layout: how the rows are written, for formats in which it differs between files.
    """

    path: Path = field(compare=False)
    rows: list[Row]
    columns: tuple[str, ...]
    repeated: Mapping[str, str]
    layout: DelimitedLayout | SheetLayout | None = field(default=None, compare=False)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        """Return a row, or a list of them."""
        return self.rows[index]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows."""
        return iter(self.rows)

    def require_single(self, column: str) -> None:
        """Require that a column name occurs once.

        Raises:
            DataError: if it occurs several times in the header or in a row.
        """
        if column in self.repeated:
            raise DataError(f"{self.path}: {self.repeated[column]}; rename one of them")

    def merge_spellings(self, column: str, *, prefer: bool) -> None:
        """Read columns whose names differ from ``column`` only in case or surrounding white space as that column.

        Args:
            column: name of the chosen column.
            prefer: whether its value is used where a row has values under several of the names.

        Raises:
            DataError: if such a row exists and not ``prefer``; the message names it.
        """
        folded = column.strip().casefold()
        others = [name for name in self.columns if name != column and name.strip().casefold() == folded]
        moved = 0
        for row in self.rows if others else ():
            given = [name for name in (column, *others) if not row.is_missing(name)]
            if len(given) > 1 and not prefer:
                raise DataError(f"{row.where}: both {given[0]!r} and {given[1]!r} have a value; choose one of these "
                                "columns by its exact name, or rename one")
            if given and given[0] != column:
                row.cells[column] = row.cells[given[0]]
                moved += 1
        if moved:
            findings.current().note(f"{self.path}: {listed(others)} {'is' if len(others) == 1 else 'are'} read as "
                                    f"{column!r} ({moved:,} rows)")


def named_columns(header: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the distinct names of a header without blank ones, and where those are that occur more than once."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(header, start=1):
        if name:
            places.setdefault(name, []).append(place)
    repeated = {name: f"columns {' and '.join(map(str, at[:SHOWN_COLUMNS]))} are called {name!r}"
                for name, at in places.items() if len(at) > 1}
    return tuple(places), repeated


def title_length(rows: Sequence[Sequence[Any]], names: Container[str]) -> int:
    """Return the number of rows before the names of the columns: those of a title, with one filled cell at most.

    Args:
        rows: the first rows of a table.
        names: usual and configured names of columns in lower case, none of which is in a title.
    """
    for number, row in enumerate(rows[: MAX_TITLE + 1]):
        filled = [value for value in row if not rules.is_missing(value)]
        if len(filled) > 1:
            return number if all(isinstance(name, str) for name in filled) else 0
        if any(str(name).strip().lower() in names for name in filled):
            return 0
    return 0


def require_few_columns(path: Path, n: int, advice: str) -> None:
    """Require a number of columns that a table of texts can have.

    Raises:
        DataError: if there are more than ``MAX_COLUMNS``.
    """
    if n > MAX_COLUMNS:
        raise DataError(f"{path}: {n:,} columns; at most {MAX_COLUMNS:,} are read; {advice}")


def listed(columns: Sequence[str], *, quoted: bool = True) -> str:
    """Return column names for a message of bounded length."""
    return listing.listed(columns, limit=SHOWN_COLUMNS, form=repr if quoted else str)
