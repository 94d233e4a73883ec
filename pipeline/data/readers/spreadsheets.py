"""Tables of spreadsheets: Excel's ``.xlsx`` and ``.xls``, and OpenDocument's ``.ods``.

The library that reads them keeps all cells up to the last one in memory and can end the process, so that it runs in a
separate one with limits.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from pipeline.data.readers import findings
from pipeline.data.readers.cells import as_text
from pipeline.data.readers.rows import (
    MAX_TITLE,
    Rows,
    SheetLayout,
    Table,
    named_columns,
    require_few_columns,
    title_length,
)
from pipeline.data.readers.usual_names import USUAL_NAMES
from pipeline.errors import DataError

MAX_CELLS = 20_000_000
MAX_BYTES = 3 * 2**30
SECONDS = 30
SECONDS_PER_MB = 10

_PROGRAM = r"""
import json
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
except (ImportError, ValueError, OSError):
    pass
import python_calamine

def value(cell):
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    if isinstance(cell, (str, bool, int, float)):
        return cell
    kind = type(cell).__name__
    return [kind, cell.total_seconds() if kind == "timedelta" else cell.isoformat(), str(cell)]

path = sys.argv[1]
is_utf8 = path.isascii() or not any("\ud800" <= character <= "\udfff" for character in path)
with python_calamine.load_workbook(path if is_utf8 else open(path, "rb")) as book:  # the library replaces other bytes
    sheets = [sheet for sheet in map(book.get_sheet_by_name, book.sheet_names) if sheet.height]
    names = set(sys.argv[5:])
    def has_names(sheet):
        for number, row in enumerate(sheet.iter_rows()):
            filled = [str(cell).strip().lower() for cell in row if str(cell).strip()]
            if number > int(sys.argv[4]) or any(cell in names for cell in filled):
                return number <= int(sys.argv[4])
            if len(filled) > 1:
                return False
        return False
    filled = [sheet for sheet in sheets if sheet.height > 1]
    chosen = next(filter(has_names, filled), next(iter(filled), sheets[0] if sheets else None))
    if chosen is None:
        found = {"rows": []}
    elif chosen.height * chosen.width > int(sys.argv[3]):
        found = {"error": f"the sheet {chosen.name!r} reaches to row {chosen.end[0] + 1}, column {chosen.end[1] + 1}"}
    else:
        rows = [[value(cell) for cell in row] for row in chosen.to_python()]
        found = {"rows": rows, "first": chosen.start[0] + 1, "sheet": chosen.name,
                 "others": [sheet.name for sheet in sheets if sheet.name != chosen.name]}
sys.stdout.buffer.write(json.dumps(found).encode())
"""


def read_spreadsheet(path: Path, names: Iterable[str] = ()) -> Table:
    """Read the first sheet that has rows after a row of column names; other sheets are reported to the findings.

    Args:
        path: the file.
        names: usual and configured names of columns in lower case. Sheets without any of these come last.

    Raises:
        DataError: if the file is damaged, encrypted, or has too many cells.
    """
    usual = sorted({*USUAL_NAMES, *names})
    found = _read(path, usual)
    if "error" in found:
        raise DataError(f"{path}: {found['error']}, which is too large; delete the rows and columns after the table, "
                        "or export the sheet as .csv")
    if found.get("others"):
        findings.current().note(f"{path}: sheet {found['sheet']!r}; not read: "
                                f"{', '.join(repr(name) for name in found['others'][:10])}")
    first: int = found.get("first", 1)
    sheet = [[_typed(cell) for cell in cells] for cells in found["rows"]] or [[]]
    rows = [[cell[2] if isinstance(cell, list) else cell for cell in cells] for cells in found["rows"]] or [[]]
    n_title = title_length(rows, set(usual))
    if n_title:
        findings.current().note(f"{path}: the names of the columns are in row {first + n_title}; the rows before it "
                                "are a title (detected)")
    columns = [as_text(name, str(path), "").strip() for name in rows[n_title]]
    require_few_columns(path, len(columns), "the first row must be the column names")
    made = Rows(path)
    for line, cells in enumerate(rows[n_title + 1 :], start=first + n_title + 1):
        if any(cell != "" for cell in cells):
            made.add(columns, cells, line)
    layout = SheetLayout(found.get("sheet", ""), sheet, first, n_title)
    return Table(path, made, *named_columns(columns), layout)


def _typed(value: Any) -> Any:
    """Return a cell with the type that it has in the spreadsheet."""
    if not isinstance(value, list):
        return value
    kind, written, _ = value
    if kind == "timedelta":
        return timedelta(seconds=written)
    types: dict[str, Any] = {"date": date, "datetime": datetime, "time": time}
    return types[kind].fromisoformat(written) if kind in types else value[2]


def _read(path: Path, names: Sequence[str]) -> dict[str, Any]:
    seconds = SECONDS + SECONDS_PER_MB * path.stat().st_size / 2**20
    command = [sys.executable, "-P", "-c", _PROGRAM, str(path.absolute()), str(MAX_BYTES), str(MAX_CELLS),
               str(MAX_TITLE), *names]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL)
        made: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{path}: not read within {seconds:.0f} seconds; export the sheet as .csv") from error
    except ValueError as error:
        raise DataError(f"{path}: {_reason(done.stderr.decode(errors='replace'))}") from error
    return made


def _reason(message: str) -> str:
    """Return what is wrong with a file that could not be read, from the last line of the library's message."""
    if "ModuleNotFoundError" in message:
        return "reading spreadsheets needs the package python-calamine: pip install python-calamine"
    if "PasswordError" in message or "assword" in message:
        return "the spreadsheet is encrypted; save it without a password"
    if "memory" in message.lower():
        return ("the spreadsheet needs too much memory; delete the rows and columns after the table, or export the "
                "sheet as .csv")
    lines = message.strip().splitlines()
    last = next((line for line in reversed(lines) if "Error" in line or "panicked" in line), "").partition(": ")[2]
    return (f"not a spreadsheet, or damaged ({last[:200] or 'the reader ended without a result'}); save it again, or "
            "export it as .csv")
