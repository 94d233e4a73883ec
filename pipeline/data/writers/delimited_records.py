"""The rows of delimited text with their original characters."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pipeline.data.readers.delimited import SEPARATOR_LINE
from pipeline.data.readers.rows import DelimitedLayout


class Record(NamedTuple):
    """A row or another line of delimited text.

    Attributes:
        written: its characters, without the end of the line.
        end: the end of the line; "" for the last one of a file without it.
        cells: its cells.
        kind: ``row`` if it is read, ``names`` for the names of the columns, ``other`` for a title and blank lines.
    """

    written: str
    end: str
    cells: list[str]
    kind: Literal["row", "names", "other"]

    @property
    def names_separator(self) -> bool:
        """Whether it is a line ``sep=;`` of Excel."""
        return SEPARATOR_LINE.match(f"{self.written}\n") is not None


def records_of(text: str, layout: DelimitedLayout, lines: Sequence[int]) -> list[Record]:
    """Divide a text into records.

    Args:
        text: the content of the file, without a byte-order mark.
        layout: how its rows are written.
        lines: the lines, from 1, on which the rows that are read begin.
    """
    physical = list(io.StringIO(text, newline="")) if layout.quoted else _lines(text)
    starts = [layout.names_line, *lines]
    records = list(_parsed(physical[: starts[0] - 1], layout, first="other"))
    for at, (start, after) in enumerate(zip(starts, [*starts[1:], len(physical) + 1], strict=True)):
        records.extend(_parsed(physical[start - 1 : after - 1], layout, first="row" if at else "names"))
    return records


def quoted(cell: str, layout: DelimitedLayout, *, always: bool = False) -> str:
    """Return a cell in double quotes where they are needed; without quoting, tabs and line ends become spaces."""
    if not layout.quoted:
        return cell.translate({ord(mark): " " for mark in (layout.separator, "\n", "\r")})
    needed = any(mark in cell for mark in (layout.separator, '"', "\n", "\r")) or cell != cell.strip()
    return f'"{cell.replace(chr(34), 2 * chr(34))}"' if always or needed else cell


def _parsed(
    lines: Sequence[str], layout: DelimitedLayout, *, first: Literal["row", "names", "other"]
) -> Iterator[Record]:
    at = 0
    while at < len(lines):
        n, cells = 1, []
        if layout.quoted:
            following = (lines[i] for i in range(at, len(lines)))
            reader = csv.reader(following, delimiter=layout.separator, skipinitialspace=layout.spaces)
            cells = next(reader, [])
            n = max(1, reader.line_num)
        whole = "".join(lines[at : at + n])
        written = whole[:-2] if whole.endswith("\r\n") else whole[:-1] if whole.endswith(("\n", "\r")) else whole
        if not layout.quoted:
            cells = written.split(layout.separator) if written else []
        yield Record(written, whole[len(written):], cells, "other" if at else first)
        at += n


def _lines(text: str) -> list[str]:
    """Split at LF and CRLF, or at CR if there is no LF, as the reader of tables without quoting; ends are kept."""
    return list(io.StringIO(text, newline="\r" if "\r" in text and "\n" not in text else "\n"))
