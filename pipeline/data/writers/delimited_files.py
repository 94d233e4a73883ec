"""Delimited text: columns added in the dialect of the table, and new files."""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from embeddings.table.listing import decimals
from embeddings.tokenization.text_decoding import MARKS, detect, displayed
from pipeline.data.readers.rows import DelimitedLayout
from pipeline.data.writers.delimited_records import Record, quoted
from pipeline.data.writers.grid import Added, Grid, cell_text, width_of

log = logging.getLogger("vecformer")

N_SAMPLE = 200  # rows by which quoting and the decimal mark are found

_POINT, _COMMA = re.compile(r"[+-]?\d+\.\d+"), re.compile(r"[+-]?\d+,\d+")
_BYTE_ORDERS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
                codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be"}


class Encoding(NamedTuple):
    """How a file is encoded: Python's name of the codec, and the byte-order mark."""

    codec: str
    mark: bytes = b""


def encoding_of(content: bytes, encoding: str = "") -> Encoding:
    """Return the encoding of a file.

    Args:
        content: the content of the file, which can be decoded.
        encoding: its encoding; "" to detect it.
    """
    found = next((Encoding(_BYTE_ORDERS.get(mark, codec), mark) for mark, codec in MARKS if content.startswith(mark)),
                 None)
    if not encoding:
        return found or Encoding(detect(content, "").codec)
    codec = codecs.lookup(encoding).name
    if found and codec.startswith("utf"):
        return found
    return Encoding({"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(codec, codec))


def extended(grid: Grid, added: Added, content: bytes, encoding: str = "") -> bytes:
    """Return a file of delimited text with columns added, everything else as it is.

    Quoting, ends of lines, encoding and decimal mark are those of the table. If the encoding lacks a character of the
    added cells, the file is written as UTF-8 with a byte-order mark, and a warning is logged.

    Args:
        grid: the table.
        added: the columns.
        content: the content of the file.
        encoding: its encoding; "" to detect it.
    """
    layout = grid.layout
    assert layout is not None
    every, comma = _quotes_every_cell(grid.records, layout), has_decimal_comma(grid)
    rows = iter(added.rows)
    parts = []
    after_names = False
    for record in grid.records:
        cells: Sequence[Any] = next(rows) if after_names else []
        if record.kind == "names":
            cells, after_names = added.names, True
        elif not after_names or record.kind == "other":
            blank = len(record.cells) == len(grid.names) and not record.names_separator and bool(record.written)
            cells = [None] * len(added.names) if blank else []
        shown = [quoted(_shown(value, comma=comma), layout, always=every) for value in cells]
        parts += [(layout.separator + " " * layout.spaces).join([record.written, *shown]), record.end]
    chosen, text = encoding_of(content, encoding), "".join(parts)
    try:
        return chosen.mark + text.encode(chosen.codec)
    except UnicodeEncodeError as error:
        log.warning("%s has no character %r, which is in a prediction; the result is UTF-8 with a byte-order mark",
                    displayed(chosen.codec), error.object[error.start])
        return codecs.BOM_UTF8 + text.encode(errors="replace")


def new_file(grid: Grid, added: Added, separator: str) -> bytes:
    """Return a new file in UTF-8: quoted as in RFC 4180, with a decimal point."""
    layout, width = DelimitedLayout(separator, True, False, 1), width_of(grid)
    rows = [*([*row, *[""] * (width - len(row))] for row in map(_texts, grid.title)),
            [*_texts(grid.names), *[""] * (width - len(grid.names)), *added.names],
            *([*_texts(row), *[""] * (width - len(row)), *(_shown(value, comma=False) for value in values)]
              for row, values in zip(grid.rows, added.rows, strict=True))]
    lines = (separator.join(quoted(cell, layout) for cell in row) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode(errors="replace")


def has_decimal_comma(grid: Grid) -> bool:
    """Whether numbers have a decimal comma: most of the table's own, or if it has none, with semicolons between cells.

    Excel separates cells by semicolons in the languages that write a decimal comma.
    """
    if grid.layout is None or grid.layout.separator == ",":
        return False
    cells = [cell.strip() for row in grid.rows[:N_SAMPLE] for cell in row if isinstance(cell, str)]
    n_comma, n_point = (sum(bool(form.fullmatch(cell)) for cell in cells) for form in (_COMMA, _POINT))
    return n_comma > n_point or (n_comma == n_point == 0 and grid.layout.separator == ";")


def _quotes_every_cell(records: Sequence[Record], layout: DelimitedLayout) -> bool:
    """Whether all cells are in double quotes."""
    mark = layout.separator + " " * layout.spaces
    sample = [record for record in records if record.kind != "other"][:N_SAMPLE]
    return layout.quoted and all(
        mark.join(quoted(cell, layout, always=True) for cell in record.cells) == record.written for record in sample)


def _texts(row: Sequence[Any]) -> list[str]:
    return list(map(cell_text, row))


def _shown(value: Any, *, comma: bool) -> str:
    if isinstance(value, float):
        return decimals(value).replace(".", "," if comma else ".")
    return cell_text(value)
