"""Tables of JSON: an object on each line, a list of objects, or a list under the key ``data``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.data.readers.cells import well_formed
from pipeline.data.readers.files import format_suffix, iterate_lines
from pipeline.data.readers.rows import Rows, Table, listed, require_few_columns
from pipeline.errors import DataError

EXAMPLE = '{"text": ..., "label": ...}'

_BLANK = re.compile(r"[ \t\r\n]*")


class _Repeated(dict[str, Any]):
    """An object in which a key occurs more than once."""

    key = ""


def read_json(path: Path, text: str) -> Table:
    """Read a table; its layout is found by its content.

    Raises:
        DataError: if it is not JSON or has another layout; the message names the line.
    """
    start = _blank(text, 0)
    if text.startswith("[", start):
        return _table(path, _elements(path, text, start))
    if path.name.lower().partition(".json")[2][:1] in ("", "."):
        at = _data(path, text, start)
        if at is not None:
            return _table(path, _elements(path, text, at))
    return _table(path, _lines(path, text))


def _table(path: Path, records: Iterator[tuple[int, Any]]) -> Table:
    rows = Rows(path)
    columns: dict[str, None] = {}
    repeated: dict[str, str] = {}
    for line, record in records:
        if not isinstance(record, dict):
            raise DataError(f"{path}:{line}: expected an object such as {EXAMPLE}")
        if isinstance(record, _Repeated):
            repeated.setdefault(record.key, f"the key {record.key!r} occurs twice in line {line}")
        require_few_columns(path, len(record), f"expected objects such as {EXAMPLE}")
        if not columns.keys() >= record.keys():
            record = {well_formed(key): value for key, value in record.items()}
            columns.update(dict.fromkeys(record))
            require_few_columns(path, len(columns), f"expected objects such as {EXAMPLE}")
        rows.add(tuple(record), record.values(), line)
    if len(rows) == 1 and format_suffix(path) == ".json" and _is_no_row(rows[0].cells):
        raise DataError(f"{path}: one object that has tables or columns ({listed(tuple(columns))}), not rows; expected "
                        f"a list of objects such as {EXAMPLE}, one object on each line, or the list under the key "
                        "'data' (pandas: to_json(orient='records', lines=True))")
    return Table(path, rows, tuple(columns), repeated)


def _is_no_row(record: dict[str, Any]) -> bool:
    """Whether an object is no row but columns with an object each, as pandas writes them, or has lists of rows."""
    values = [*record.values()]
    if "paragraphs" in record or not values or not all(isinstance(value, dict | list) for value in values):
        return False
    if all(isinstance(value, dict) for value in values):
        return len(values) > 1 and all(value.keys() == values[0].keys() for value in values)
    return any(isinstance(value, list) and value and isinstance(value[0], dict | list) for value in values)


def _lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(iterate_lines(text), start=1):
        if line.strip():
            try:
                yield number, json.loads(line, object_pairs_hook=_object)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}:{number}: not JSON ({error.msg} at column {error.colno})") from error
            except (RecursionError, ValueError) as error:  # nested thousands deep; a number with thousands of digits
                raise DataError(f"{path}:{number}: JSON that cannot be read ({error})") from error


def _elements(path: Path, text: str, start: int) -> Iterator[tuple[int, Any]]:
    """Yield the elements of the list that starts at ``start``, with the lines on which they start."""
    line, counted = 1, 0
    at = _blank(text, start + 1)
    while not text.startswith("]", at):
        line, counted = line + text.count("\n", counted, at), at
        value, at = _decode(path, text, at, line)
        yield line, value
        at = _blank(text, at)
        if text.startswith(",", at):
            at = _blank(text, at + 1)
        elif not text.startswith("]", at):
            raise DataError(f"{path}:{_line(text, at)}: not JSON (expected , or ] after an element of the list)")
    after = _blank(text, at + 1)
    if text.startswith("[", _blank(text, 0)) and after < len(text):
        raise DataError(f"{path}:{_line(text, after)}: text after the end of the list; keep one list, or one object on "
                        "each line")


def _data(path: Path, text: str, start: int) -> int | None:
    """Return the position of the list under the key ``data`` of an object; None if the text is JSON lines.

    Raises:
        DataError: if the object is the whole text and has no such list.
    """
    if not text.startswith("{", start):
        return None
    at = _blank(text, start + 1)
    while text.startswith('"', at):
        key, at = _decode(path, text, at, 1)
        at = _blank(text, at)
        at = _blank(text, at + text.startswith(":", at))
        if key == "data" and text.startswith("[", at) and text.startswith(("{", "]"), _blank(text, at + 1)):
            return at
        _, at = _decode(path, text, at, _line(text, at))
        at = _blank(text, at)
        at = _blank(text, at + text.startswith(",", at))
    if "\n" not in text[start:at] or not text.startswith("}", at):
        return None
    raise DataError(f"{path}: an object without a list under the key 'data'; expected a list of objects such as "
                    f"{EXAMPLE}, or one object on each line (pandas: to_json(orient='records', lines=True))")


def _decode(path: Path, text: str, at: int, line: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno})") from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path}:{line}: JSON that cannot be read ({error})") from error


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _blank(text: str, at: int) -> int:
    """Return the position after white space."""
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    repeated = _Repeated(made)
    seen: set[str] = set()
    repeated.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return repeated


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
