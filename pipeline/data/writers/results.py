"""The file of a table with predictions; its suffix decides the format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from embeddings.table.atomic_files import restore
from embeddings.table.listing import listed
from pipeline.data.readers.files import COMPRESSIONS, decode_text, format_suffix, read_bytes
from pipeline.data.readers.rows import DelimitedLayout, Table
from pipeline.data.writers.grid import Added, Grid, grid_of
from pipeline.errors import DataError

DELIMITED = {".csv": ",", ".tsv": "\t"}
JSON = {".jsonl": True, ".ndjson": True, ".json": False}
ARROW = (".parquet", ".arrow")
SUFFIXES = (*DELIMITED, *JSON, ".xlsx", *ARROW)


def check_result(result: Path, table: Path | None, *, overwrite: bool) -> None:
    """Check that a result can be written, before any work is done.

    Args:
        result: the file to write.
        table: the table that is read; None for none.
        overwrite: whether an existing file may be replaced.

    Raises:
        DataError: if it exists and ``overwrite`` is not set, is the table itself, or has another suffix.
    """
    restore(result)
    if table is not None and result.exists() and table.exists() and result.samefile(table):
        raise DataError(f"{result}: the table that is read; write the result to another file, such as --out "
                        f"{table.stem}-predicted{table.suffix}")
    if result.suffix.lower() in COMPRESSIONS:
        raise DataError(f"{result}: compressed results cannot be written; leave out {result.suffix}")
    known = result.suffix.lower() in SUFFIXES or (table is not None and _same_suffix(result, table) == ".txt")
    if not known:
        advice = "write .xlsx, which has all cells" if result.suffix.lower() in (".xls", ".ods") else (
            f"its suffix must be one of {listed(SUFFIXES)}")
        raise DataError(f"{result}: the format {result.suffix or 'without a suffix'} cannot be written; {advice}")
    if result.is_dir():
        raise DataError(f"{result}: a folder; name a file to write")
    if result.exists() and not overwrite:
        raise DataError(f"{result}: exists already; choose another name, or replace it with --overwrite")
    if not result.parent.is_dir():
        raise DataError(f"{result}: the folder {result.parent} does not exist; type: mkdir -p {result.parent}")
    if not os.access(result.parent, os.W_OK):
        raise DataError(f"{result}: no permission to write in {result.parent}; choose another folder")


def open_grid(table: Table, encoding: str = "") -> Grid:
    """Return the grid of a table that was read.

    Args:
        table: the table.
        encoding: encoding of its file; "" to detect it.
    """
    text = ""
    if isinstance(table.layout, DelimitedLayout):
        text = decode_text(read_bytes(table.path), str(table.path), encoding)
    return grid_of(table, text)


def check_size(result: Path, grid: Grid, names: Sequence[str]) -> None:
    """Check that the format can represent the rows of a grid, and columns of these names.

    Raises:
        DataError: if a spreadsheet is too large.
    """
    if result.suffix.lower() == ".xlsx":
        from pipeline.data.writers import spreadsheet_files

        try:
            spreadsheet_files.check(grid, len(names))
        except DataError as error:
            raise DataError(f"{result}: {error}") from error


def content_of(result: Path, table: Path | None, grid: Grid, added: Added, encoding: str = "") -> bytes:
    """Return the content of a result.

    A table of delimited text, or of Parquet and Arrow, that is written in the same format keeps its dialect or schema.

    Args:
        result: the file to write, whose suffix decides the format.
        table: the table that was read; None for none.
        grid: its rows.
        added: the columns to add.
        encoding: encoding of the table; "" to detect it.
    """
    suffix = result.suffix.lower()
    if table is not None and grid.layout is not None and _same_suffix(result, table):
        from pipeline.data.writers import delimited_files

        return delimited_files.extended(grid, added, read_bytes(table), encoding)
    if suffix in DELIMITED:
        from pipeline.data.writers import delimited_files

        return delimited_files.new_file(grid, added, DELIMITED[suffix])
    if suffix in JSON:
        from pipeline.data.writers import json_files

        return json_files.new_file(grid, added, lines=JSON[suffix])
    if suffix in ARROW:
        from pipeline.data.writers import arrow_files

        if table is not None and format_suffix(table) in ARROW:
            return arrow_files.extended(table, added, suffix)
        return arrow_files.new_file(grid, added, suffix)
    from pipeline.data.writers import spreadsheet_files

    return spreadsheet_files.new_file(grid, added)


def _same_suffix(result: Path, table: Path) -> str:
    suffix = result.suffix.lower()
    return suffix if suffix == format_suffix(table) else ""
