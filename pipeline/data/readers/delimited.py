"""Tables of delimited cells: TSV without quoting, CSV as in RFC 4180, with commas, semicolons, tabs or bars."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Container, Iterator
from pathlib import Path

from pipeline.data.readers import findings
from pipeline.data.readers.files import lines_of
from pipeline.data.readers.rows import Row, Table, listed, named_columns, require_few_columns
from pipeline.errors import DataError

SEPARATORS = (",", ";", "\t", "|")
NAMES = {"\t": "tab", "tab": "\t", "\\t": "\t"}
SAMPLE = 2**18  # characters from which the separator is found

_EXCEL = re.compile(r"\"?sep=(.)\"?\r?\n", re.IGNORECASE)

csv.field_size_limit(2**31 - 1)  # a cell may be a whole book


def read_tsv(path: Path, text: str, separator: str, usual: Container[str]) -> Table:
    """Read a table without quoting.

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
    numbered = enumerate(lines_of(text), start=1)
    return _with_header(path, ((number, line.split(separator)) for number, line in numbered if line.strip()),
                        "replace tabs inside of texts by spaces")


def read_csv(path: Path, text: str, separator: str, usual: Container[str]) -> Table:
    """Read a table with quoting; arguments as for :func:`read_tsv`.

    A first line ``sep=;``, as Excel writes it, names the separator.

    Raises:
        DataError: if a row is malformed or has more or fewer cells than the header.
    """
    first, excel = 1, _EXCEL.match(text)
    chosen = character(separator)
    if excel:
        first, text = 2, text[excel.end() :]
        chosen = chosen or excel[1]
    if not chosen:
        chosen, _ = find_separator(text, usual)
    if chosen != "," and not separator:
        _note_separator(path, chosen, "from its first line" if excel else "detected")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=chosen, strict=True)

    def numbered() -> Iterator[tuple[int, list[str]]]:
        line = first
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + first
        except csv.Error as error:
            raise DataError(f"{path}:{line}: malformed CSV ({error})") from error

    return _with_header(path, numbered(), f"put cells that contain {NAMES.get(chosen, chosen)!r} in double quotes, or "
                                          "choose the separator with --separator")


def _note_separator(path: Path, separator: str, how: str) -> None:
    name = NAMES.get(separator, separator)
    findings.current().note(f"{path}: separator {name} ({how}; --separator CHAR sets another)")


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
    """Return the share of the rows with as many cells as the first one, and the usual names among its cells."""
    names: list[str] = []
    n_rows = n_equal = 0
    try:
        for cells in csv.reader(io.StringIO(sample, newline=""), delimiter=separator, strict=True):
            if not names:
                names = cells
                if len(names) == 1:
                    return 0.0, 0
            elif cells:
                n_rows += 1
                n_equal += len(cells) == len(names)
    except csv.Error:
        n_rows += whole  # the end of a sample may be inside of quotes
    known = sum(name.strip().lower() in usual for name in names)
    return (n_equal / n_rows if n_rows else float(bool(known))), known


def _with_header(path: Path, rows: Iterator[tuple[int, list[str]]], advice: str) -> Table:
    _, names = next(rows, (0, []))
    names = [name.strip() for name in names]
    require_few_columns(path, len(names), "the first line must be the column names")
    made = []
    n_columns = len(names)
    for line, cells in rows:
        if len(cells) != n_columns:
            raise DataError(f"{path}:{line}: {len(cells):,} cells, but the header has {n_columns} columns "
                            f"({listed(names, quoted=False)}); {advice}")
        made.append(Row(dict(zip(names, cells, strict=True)), line, path))
    return Table(path, made, *named_columns(names))
