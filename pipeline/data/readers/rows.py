"""A table in memory: rows with the values of the file, and the names of its columns."""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
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
MAX_SHARED, MAX_SHARED_LENGTH = 10_000, 50  # strings, and their characters, of which equal ones are one object


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


@dataclass(slots=True, eq=False)
class Row:
    """A row of a table.

    Attributes:
        places: position of each column in ``values``; a row of JSON may lack some.
        values: the values of the file, unconverted.
        line: line number in the file, from 1 (row number in Parquet and Arrow files).
        path: the file.
    """

    places: Mapping[str, int]
    values: Sequence[Any]
    line: int
    path: Path

    @classmethod
    def of(cls, cells: Mapping[str, Any], line: int, path: Path) -> Row:
        """Make a row of values by column name."""
        return cls({name: at for at, name in enumerate(cells)}, tuple(cells.values()), line, path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and (self.cells, self.line) == (other.cells, other.line)

    @property
    def cells(self) -> dict[str, Any]:
        """The values by column name, as a new dictionary."""
        return {name: self.values[at] for name, at in self.places.items()}

    def get(self, column: str, default: Any = None) -> Any:
        """Return the value of a column, or ``default`` if the row lacks it."""
        at = self.places.get(column)
        return default if at is None else self.values[at]

    @property
    def where(self) -> str:
        """Its place: ``file:line``."""
        return f"{written(self.path)}:{self.line}"

    def is_missing(self, column: str) -> bool:
        """Whether the row has no value in a column; see :func:`pipeline.data.readers.cells.is_missing`."""
        return rules.is_missing(self.get(column))

    def text(self, column: str) -> str:
        """Return a text; see :func:`pipeline.data.readers.cells.as_text`."""
        value = self.get(column)
        if type(value) is str and value.isascii():
            return value
        return rules.as_text(value, self.where, column)

    def label(self, column: str) -> str:
        """Return a label; see :func:`pipeline.data.readers.cells.as_label`."""
        value = self.get(column)
        if type(value) is str and value.isascii() and "[" not in value:
            return value.strip()
        return rules.as_label(value, self.where, column)

    def labels(self, column: str, separator: str = "") -> list[str]:
        """Return labels; see :func:`pipeline.data.readers.cells.as_labels`.

        An empty list in the file and a missing value both give []; :meth:`is_unlabelled` tells them apart.
        """
        return rules.as_labels(self.get(column), self.where, column, separator)

    def is_unlabelled(self, column: str) -> bool:
        """Whether the labels of a column are unknown; an empty list means that no label applies."""
        return not isinstance(self.get(column), list) and self.is_missing(column)

    def number(self, column: str) -> float:
        """Return a number; see :func:`pipeline.data.readers.cells.as_number`."""
        return rules.as_number(self.get(column), self.where, column)


class Rows(Sequence[Row]):
    """Rows of one file, which are made when they are read: a few lists take a fraction of the memory of objects.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._values: list[Any] = []            # of all rows, one after the other
        self._bounds = array("q", [0])          # position of the first value of each row, and their number
        self._lines = array("q")
        self._kinds = array("l")                # of each row, the number of its columns in _places
        self._places: list[dict[str, int]] = []
        self._kind_of: dict[tuple[str, ...], int] = {}
        self._shared: dict[str, str] = {}

    def add(self, columns: Sequence[str], values: Iterable[Any], line: int) -> None:
        """Append a row.

        Args:
            columns: the names of its columns; the last of several equal ones has the value.
            values: one value for each.
            line: line number in the file, from 1.
        """
        names = tuple(columns)  # itself, if it is one
        kind = self._kind_of.setdefault(names, len(self._places))
        if kind == len(self._places):
            self._places.append({name: at for at, name in enumerate(names)})
        self._values += map(self._one_object, values)
        self._bounds.append(len(self._values))
        self._lines.append(line)
        self._kinds.append(kind)

    def _one_object(self, value: Any) -> Any:
        """Return the same object for equal short strings, such as labels."""
        if type(value) is not str or len(value) > MAX_SHARED_LENGTH:
            return value
        found = self._shared.get(value)
        if found is None:
            if len(self._shared) < MAX_SHARED:
                self._shared[value] = value
            return value
        return found

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        """Make a row, or a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        i = range(len(self))[index]
        values = self._values[self._bounds[i] : self._bounds[i + 1]]
        return Row(self._places[self._kinds[i]], values, self._lines[i], self.path)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and len(self) == len(other) and all(map(Row.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def replace(self, rows: Iterable[Row]) -> None:
        """Replace all rows by others of the same file."""
        made = Rows(self.path)
        for row in rows:
            made.add([*row.places], row.cells.values(), row.line)
        vars(self).update(vars(made))


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
    rows: Rows
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
        if not others:
            return
        moved = 0
        merged: list[Row] = []
        for row in self.rows:
            given = [name for name in (column, *others) if not row.is_missing(name)]
            if len(given) > 1 and not prefer:
                raise DataError(f"{row.where}: both {given[0]!r} and {given[1]!r} have a value; choose one of these "
                                "columns by its exact name, or rename one")
            cells = row.cells
            if given and given[0] != column:
                cells[column] = cells[given[0]]
                moved += 1
            merged.append(Row.of(cells, row.line, row.path))
        if moved:
            self.rows.replace(merged)
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
