"""Tables from TSV, CSV, JSON lines and Parquet files. Every cell is a string; every row has its line number."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

csv.field_size_limit(2**31 - 1)  # a cell may be a whole book


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        cells: cells by column name.
        line: line number in the file, from 1 (row number in Parquet files).
    """

    cells: dict[str, str]
    line: int

    def need(self, column: str, path: Path) -> str:
        """Return the cell of a column.

        Raises:
            DataError: if there is none, which is possible in JSON lines.
        """
        if column not in self.cells:
            raise DataError(f"{path}:{self.line}: no value for {column!r}")
        return self.cells[column]


def read_rows(path: Path) -> list[Row]:
    """Read a table; the suffix decides the format.

    ``.tsv`` is separated by tabs without quoting, ``.csv`` is quoted as in RFC 4180; both start with a line of column
    names. ``.jsonl`` has one object per line. Blank lines are skipped.

    Raises:
        DataError: if the file is missing, empty, of another format, not UTF-8 or malformed; the message names the line.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: cannot read a table with the suffix {path.suffix!r}; convert it to one of "
                        f"{', '.join(sorted(_READERS))}")
    rows = list(reader(path))
    if not rows:
        raise DataError(f"{path}: the file has no rows")
    return rows


def known_suffixes() -> tuple[str, ...]:
    """Return the suffixes of the files that can be read."""
    return tuple(_READERS)


def read_text(path: Path) -> str:
    """Read a UTF-8 file, without its byte-order mark.

    Raises:
        DataError: if it is missing or not UTF-8; the message names the line.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    return decode_text(path.read_bytes(), str(path))


def decode_text(content: bytes, where: str) -> str:
    """Decode UTF-8 and remove the byte-order mark.

    Raises:
        DataError: if it is not UTF-8; the message names the line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{where}:{line}: not UTF-8 (byte 0x{content[error.start]:02x}); convert the file, for instance with "
            "iconv -f WINDOWS-1252 -t UTF-8"
        ) from error


def lines_of(text: str) -> list[str]:
    """Split a text at LF and CRLF only (``str.splitlines`` also splits at characters that may be inside a text)."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def _read_tsv(path: Path) -> Iterator[Row]:
    numbered = enumerate(lines_of(read_text(path)), start=1)
    cut = ((number, line.split("\t")) for number, line in numbered if line.strip())
    yield from _with_header(path, cut)


def _read_csv(path: Path) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)

    def numbered() -> Iterator[tuple[int, list[str]]]:
        line = 1
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"{path}:{line}: malformed CSV ({error})") from error

    yield from _with_header(path, numbered())


def _with_header(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    _, names = next(rows, (0, []))
    names = [name.strip() for name in names]
    for line, cells in rows:
        if len(cells) != len(names):
            raise DataError(
                f"{path}:{line}: {len(cells)} cells, but the header has {len(names)} columns ({', '.join(names)})"
            )
        yield Row(dict(zip(names, cells, strict=True)), line)


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines_of(read_text(path)), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: not JSON ({error.msg} at column {error.colno})") from error
        except (RecursionError, ValueError) as error:  # nested thousands deep; a number with thousands of digits
            raise DataError(f"{path}:{number}: JSON that cannot be read ({error})") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}:{number}: expected an object such as {{\"text\": ..., \"label\": ...}}")
        yield Row({well_formed(key): well_formed(_string(value)) for key, value in record.items()}, number)


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from error
    for number, record in enumerate(table.to_pylist(), start=1):
        yield Row({key: _string(value) for key, value in record.items()}, number)


def well_formed(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _string(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_csv, ".jsonl": _read_jsonl, ".ndjson": _read_jsonl, ".parquet": _read_parquet, ".tsv": _read_tsv,
}
