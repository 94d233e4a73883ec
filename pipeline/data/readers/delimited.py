"""Tables of delimited cells: TSV mostly without quoting, CSV as in RFC 4180, with commas, semicolons, tabs or bars."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from embeddings.table.arguments import argument
from pipeline.data.readers import findings
from pipeline.data.readers.files import iterate_lines
from pipeline.data.readers.rows import (
    MAX_TITLE,
    DelimitedLayout,
    Rows,
    Table,
    listed,
    named_columns,
    require_few_columns,
    title_length,
)
from pipeline.data.readers.usual_names import USUAL_NAMES
from pipeline.errors import DataError

SEPARATORS = (",", ";", "\t", "|")
NAMES = {"\t": "tab", "tab": "\t", "\\t": "\t"}
SAMPLE = 2**18  # characters from which the separator is found

SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?\r?\n", re.IGNORECASE)

csv.field_size_limit(2**31 - 1)  # a cell may be a whole book


def read_tsv(path: Path, text: str, separator: str, usual: Container[str]) -> Table:
    """Read a table without quoting, or with quoting if the content shows it; see :func:`_quoted_cells`.

    Args:
        path: the file, for messages.
        text: its content.
        separator: configured separator; "" for tabs, or what is found if the first line has no tab.
        usual: usual names of columns in lower case.

    Raises:
        DataError: if a row has more or fewer cells than the header.
    """
    if not separator and "\t" not in text[: text.find("\n") + 1]:
        found, share = find_separator(text, usual)
        if found != "\t" and share == 1:
            _note_separator(path, found, "detected")
            return read_csv(path, text, found, usual)
    separator = character(separator) or "\t"
    rows = [(number, line.split(separator)) for number, line in enumerate(iterate_lines(text), start=1) if line.strip()]
    if quoted := _quoted_cells(text, rows, separator):
        findings.current().note(f"{path}: cells in double quotes are read as in CSV (detected)")
        rows = quoted
    return _with_header(path, iter(rows), "replace tabs inside of texts by spaces",
                        "replace line breaks inside of texts by spaces, or add the missing cells", usual,
                        DelimitedLayout(separator, bool(quoted), False, 1))


def _quoted_cells(
    text: str, rows: Sequence[tuple[int, list[str]]], separator: str
) -> list[tuple[int, list[str]]]:
    """Return the rows of a table with quoting, as Excel and pandas write it; [] if it has none.

    It has quoting if it can be read so, with as many cells in each row as in the first, and cannot be read without, or
    a name of a column is quoted, or a quoted cell contains quotes, which are doubled.
    """
    starts = text.startswith('"') or f'{separator}"' in text or '\n"' in text or '\r"' in text
    is_regular = len({len(cells) for _, cells in rows}) == 1
    if not starts or not rows or len(separator) != 1 or (
            is_regular and '""' not in text and not any(map(_is_quoted, rows[0][1]))):
        return []
    quoted = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        line = 1
        for cells in reader:
            if any(cell and not cell.isspace() for cell in cells):
                quoted.append((line, cells))
            line = reader.line_num + 1
    except csv.Error:
        return []
    if not quoted or len({len(cells) for _, cells in quoted}) != 1:
        return []
    doubled = is_regular and any(_is_quoted(cell) and '""' in cell[1:-1] for _, cells in rows for cell in cells)
    return quoted if not is_regular or doubled or all(map(_is_quoted, rows[0][1])) else []


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"'


def read_csv(path: Path, text: str, separator: str, usual: Container[str]) -> Table:
    """Read a table with quoting; arguments as for :func:`read_tsv`.

    A first line ``sep=;``, as Excel writes it, names the separator.

    Raises:
        DataError: if a row is malformed or has more or fewer cells than the header.
    """
    first, excel = 1, SEPARATOR_LINE.match(text)
    chosen = character(separator)
    if excel:
        first, text = 2, text[excel.end() :]
        chosen = chosen or excel[1]
    if not chosen:
        chosen, _ = find_separator(text, usual)
    if chosen != "," and not separator:
        _note_separator(path, chosen, "from its first line" if excel else "detected")
    spaces = _has_spaces_before_quotes(text, chosen)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=chosen, strict=True, skipinitialspace=spaces)

    def numbered() -> Iterator[tuple[int, list[str]]]:
        line = first
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + first
        except csv.Error as error:
            raise DataError(f"{path}:{line}: malformed CSV ({error}); write a double quote inside of a quoted cell "
                            "twice, and close each quoted cell, or choose the separator with "
                            f"{argument('separator')}") from error

    return _with_header(path, numbered(), f"put cells that contain {NAMES.get(chosen, chosen)!r} in double quotes, or "
                        f"choose the separator with {argument('separator')}", "add the missing cells, put cells that "
                        "contain line breaks in double quotes, or choose the separator with "
                        f"{argument('separator')}", usual, DelimitedLayout(chosen, True, spaces, first))


def _has_spaces_before_quotes(text: str, separator: str) -> bool:
    """Whether each separator of the first line is followed by a space, and some by a space and a quote."""
    first = text[: text.find("\n") + 1]
    return (f'{separator} "' in text and separator in first
            and first.count(separator) == first.count(f"{separator} "))


def _note_separator(path: Path, separator: str, how: str) -> None:
    name = NAMES.get(separator, separator)
    findings.current().note(f"{path}: separator {name} ({how}; {argument('separator', 'CHAR')} sets another)")


def character(separator: str) -> str:
    """Return the character that a configured separator means: ``tab`` is a tab."""
    return NAMES.get(separator, separator) if separator != "\t" else separator


def find_separator(text: str, usual: Container[str]) -> tuple[str, float]:
    """Find the separator of a table whose first row has the column names.

    Returns:
        The separator with which most rows have as many cells as the first one, which must have two; of several, the one
        that gives most usual column names, then the first of ``SEPARATORS``. Also the share of these rows. A comma if
        there is none.
    """
    whole = len(text) <= SAMPLE
    sample = text if whole else text[: text.rfind("\n", 0, SAMPLE) + 1] or text[:SAMPLE]
    ranked = [(*_score(sample, separator, usual, whole), -index, separator)
              for index, separator in enumerate(SEPARATORS) if separator in sample]
    share, _, _, separator = max(ranked, default=(0.0, 0, 0, ","))
    return (separator, share) if share else (",", 0.0)


def _score(sample: str, separator: str, usual: Container[str], whole: bool) -> tuple[float, int]:
    """Return the share of the rows with as many cells as the first one, and the usual names among its cells.

    Lines of a title before a row with a usual name are left out.
    """
    names: list[str] = []
    n_rows = n_equal = n_title = 0
    try:
        for cells in csv.reader(io.StringIO(sample, newline=""), delimiter=separator, strict=True):
            if not names and len(cells) < 2 and n_title < MAX_TITLE and "".join(cells).strip().lower() not in usual:
                n_title += 1
            elif not names:
                names = cells
                if len(names) == 1:
                    return 0.0, 0
            elif cells:
                n_rows += 1
                n_equal += len(cells) == len(names)
    except csv.Error:
        n_rows += whole  # the end of a sample may be inside of quotes
    known = sum(name.strip().lower() in usual for name in names)
    if n_title and not known:
        return 0.0, 0
    return (n_equal / n_rows if n_rows else float(bool(known))), known


def _with_header(
    path: Path, rows: Iterator[tuple[int, list[str]]], if_more: str, if_fewer: str, usual: Container[str],
    layout: DelimitedLayout,
) -> Table:
    head = list(islice(rows, MAX_TITLE + 1))
    n_title = title_length([cells for _, cells in head], usual)
    if n_title:
        findings.current().note(f"{path}: the names of the columns are in line {head[n_title][0]}; the lines before "
                                "it are a title (detected)")
    rows = chain(head[n_title:], rows)
    names_line, names = next(rows, (1, []))
    names = [name.strip() for name in names]
    require_few_columns(path, len(names), "the first line must be the column names")
    made = Rows(path)
    n_columns = len(names)
    for line, cells in rows:
        if len(cells) != n_columns:
            if not made and n_columns == 1 and any(cell.strip().lower() in USUAL_NAMES for cell in cells):
                raise DataError(f"{path}:{line}: this line seems to be the column names; delete the lines before it")
            raise DataError(f"{path}:{line}: {len(cells):,} cells, but the header has {n_columns} columns "
                            f"({listed(names, quoted=False)}); {if_more if len(cells) > n_columns else if_fewer}")
        made.add(names, cells, line)
    return Table(path, made, *named_columns(names), replace(layout, names_line=names_line))
