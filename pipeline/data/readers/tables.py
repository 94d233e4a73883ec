"""Tables of delimited text, JSON, Parquet, Arrow and spreadsheets, with rows of raw values and their line numbers."""

from __future__ import annotations

from pathlib import Path

from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.cells import well_formed
from pipeline.data.readers.delimited import read_csv, read_tsv
from pipeline.data.readers.fasttext_lines import is_fasttext, read_fasttext
from pipeline.data.readers.files import (
    COMPRESSIONS,
    decode_text,
    format_suffix,
    lines_of,
    read_bytes,
    read_text,
    require_file,
)
from pipeline.data.readers.json_tables import read_json
from pipeline.data.readers.rows import Row, Table
from pipeline.data.readers.table_content import table_suffix
from pipeline.data.readers.usual_names import USUAL_NAMES
from pipeline.errors import DataError

__all__ = ["Row", "Table", "decode_text", "is_table", "known_suffixes", "lines_of", "read_bytes", "read_rows",
           "read_text", "well_formed"]

DELIMITED = {".csv": read_csv, ".tsv": read_tsv}
JSON = (".json", ".jsonl", ".ndjson")
TEXT = (".csv", ".jsonl", ".ndjson", ".tsv")  # formats of one text per file, which may be compressed
FIRST = (".csv", ".jsonl", ".ndjson", ".parquet", ".tsv")
BINARY = (".parquet", ".arrow", ".xlsx", ".xls", ".ods")
UNNAMED = (".txt", ".tab", ".dat", "")  # suffixes of files whose format is found by their content
SUFFIXES = (*FIRST, ".json", ".arrow", ".xlsx", ".xls", ".ods")


def read_rows(path: Path, config: DataConfig | None = None) -> Table:
    """Read a table; the suffix decides the format.

    ``.tsv`` is separated by tabs without quoting, ``.csv`` is quoted as in RFC 4180; both start with a line of column
    names. ``.jsonl`` has one object per line, ``.json`` that or a list of objects. Blank lines are skipped. Formats of
    text may be compressed. Lines that begin with ``__label__`` are in the format of fastText, whatever the suffix. A
    ``.txt`` file that is a table by its content (:func:`table_suffix`) is read as that.

    Args:
        path: the file.
        config: ``separator`` and ``encoding`` are used.

    Raises:
        DataError: if the file is missing, empty, of another format, or malformed; the message names the line.
    """
    config = config or DataConfig()
    require_file(path)
    table = _read(path, format_suffix(path), config)
    if not table:
        what = "has no rows" if path.stat().st_size else "is empty"
        raise DataError(f"{path}: the file {what}; name a file with examples")
    return table


def _read(path: Path, suffix: str, config: DataConfig) -> Table:
    if suffix in BINARY and path.suffix.lower() in COMPRESSIONS:
        raise DataError(f"{path}: a compressed {suffix} file cannot be read; decompress it first")
    if suffix == ".parquet":
        from pipeline.data.readers.arrow_tables import read_parquet

        return read_parquet(path)
    if suffix == ".arrow":
        from pipeline.data.readers.arrow_tables import read_arrow

        return read_arrow(path)
    if suffix in BINARY:
        from pipeline.data.readers.spreadsheets import read_spreadsheet

        return read_spreadsheet(path, _usual(config))
    if suffix in JSON:
        return read_json(path, read_text(path, config.encoding))
    if suffix in DELIMITED:
        return DELIMITED[suffix](path, read_text(path, config.encoding), config.separator, _usual(config))
    if suffix in UNNAMED or _begins_with_label(path):
        text = read_text(path, config.encoding)
        if found := "" if is_fasttext(text) else table_suffix(text):
            findings.current().note(f"{path}: read as {found}, the format of its content")
            if found in DELIMITED:
                return DELIMITED[found](path, text, config.separator, _usual(config))
            return read_json(path, text)
        if suffix == ".txt" or is_fasttext(text):
            return read_fasttext(path, text)
    raise DataError(f"{path}: cannot read a table with the suffix {path.suffix!r}; convert it to one of "
                    f"{', '.join(sorted(SUFFIXES))}")


def _usual(config: DataConfig) -> frozenset[str]:
    """Return the usual names of columns and the configured ones, in lower case."""
    given = (*config.text_columns, config.text_b_column, config.label_column, *config.languages)
    return USUAL_NAMES | {name.strip().lower() for name in given if name}


def known_suffixes() -> tuple[str, ...]:
    """Return the suffixes of uncompressed files that can be read."""
    return SUFFIXES


def compressed_suffixes() -> tuple[str, ...]:
    """Return the suffixes of compressed files that can be read, such as ``.csv.gz``."""
    return tuple(suffix + compression for suffix in (*TEXT, ".json") for compression in COMPRESSIONS)


def is_table(path: Path) -> bool:
    """Whether the name of a file has the suffix of a table, compressed or not."""
    suffix = format_suffix(path)
    return suffix in SUFFIXES


def _begins_with_label(path: Path) -> bool:
    with path.open("rb") as file:
        return is_fasttext(file.read(1000).decode("latin-1").removeprefix("ï»¿"))
