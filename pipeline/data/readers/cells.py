"""The values of cells, by one set of rules for all readers: what a cell is as a text, a label, labels and a number.

None, NaN and NaT are missing values, as is a cell that a row lacks. Strings are themselves; bytes are UTF-8; booleans
are ``true`` and ``false``; numbers are written as in JSON; decimals, dates and times as Python prints them. A list of
strings is a text of tokens, or labels. Objects are refused.
"""

from __future__ import annotations

import ast
import json
import math
import re
from typing import Any

from embeddings.table.arguments import argument
from pipeline.errors import DataError

_LIST = re.compile(  # a list of strings or numbers that pandas wrote as a string
    r"\s*\[(\s*(['\"].*['\"]|[-+.\d][-+.\d\s,e]*)\s*,?)?\s*\]\s*", re.DOTALL)
_QUOTE = re.compile(r"['\"]")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_SHOWN = 60


def is_missing(value: Any) -> bool:
    """Whether a value is missing: None, NaN, NaT, a blank string or an empty list."""
    if isinstance(value, str):
        return not value or value.isspace()
    if value is None or (isinstance(value, list | bytes) and not value):
        return True
    try:
        return bool(value != value)
    except ArithmeticError:  # signalling NaN of decimals
        return True


def as_text(value: Any, where: str, column: str) -> str:
    """Return a cell as a text; "" if it is missing.

    Raises:
        DataError: if it is an object, a list whose elements are not all strings, or bytes that are not UTF-8.
    """
    if isinstance(value, str):
        return value if value.isascii() else well_formed(value)
    if isinstance(value, list):
        if not all(isinstance(token, str) for token in value):
            raise DataError(f"{where}: {column!r} is a list whose elements are not all strings ({shown(value)}); "
                            "expected a text or a list of its tokens; choose another column with "
                            f"{argument('text_column', 'NAME')}")
        return " ".join(well_formed(token) for token in value)
    return _scalar(value, where, column, "text_column")


def as_label(value: Any, where: str, column: str) -> str:
    """Return a cell as the label of one class, without surrounding white space; "" if it is missing.

    A list of one label is that label, except one number that is written as a string.

    Raises:
        DataError: if it is a list of several labels, an object, or bytes that are not UTF-8.
    """
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return value.strip() if value.isascii() else well_formed(value).strip()
    labels = as_labels(value, where, column)
    if len(labels) == 1 and isinstance(value, str) and not _QUOTE.search(value):
        return well_formed(value).strip()  # [1] may be the name of a class
    if len(labels) > 1:
        raise DataError(f"{where}: {column!r} has several labels ({shown(labels)}); use "
                        f"{argument('task', 'multi-label')}, or leave one label in each row")
    return labels[0] if labels else ""


def as_labels(value: Any, where: str, column: str, separator: str = "") -> list[str]:
    """Return a cell as labels without repetition and without surrounding white space; [] if it is missing.

    Args:
        value: a list of labels, a list that is written as a string (``['a', 'b']``), or one label.
        where: place of the cell for messages.
        column: name of the column for messages.
        separator: separator of the labels of a string; "" for one label.

    Raises:
        DataError: if it is an object, a list of lists or objects, a list of 0 and 1 for each label, or bytes that are
            not UTF-8.
    """
    if isinstance(value, str):
        value = _written_list(value) if value.lstrip().startswith("[") else value
        value = value.split(separator) if separator and isinstance(value, str) else value
    if not isinstance(value, list):
        value = [value]
    elif len(value) > 1 and _is_multi_hot(value):
        raise DataError(f"{where}: {column!r} is 0 or 1 for each label ({shown(value)}); write a list of the names or "
                        "numbers of the labels that apply")
    names = (_scalar(label, where, column, "label_column").strip() for label in value)
    return list(dict.fromkeys(name for name in names if name))


def as_number(value: Any, where: str, column: str) -> float:
    """Return a cell as a finite number; a string may have a decimal comma.

    Raises:
        DataError: if it is missing or not a number, or a comma could also separate thousands.
    """
    number = value
    if isinstance(value, list) and len(value) == 1:
        number = value[0]
    if isinstance(number, str):
        number = number.strip()
        if _DECIMAL_COMMA.fullmatch(number):
            if len(number.partition(",")[2]) == 3:
                raise DataError(f"{where}: {column!r} is {value!r}, whose comma can be decimal or separate thousands; "
                                "write a decimal point")
            number = number.replace(",", ".")
    try:
        is_none = isinstance(number, bool) or number is None or (isinstance(number, str) and "_" in number)
        found = math.nan if is_none else float(number)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        problem = "no value" if is_missing(value) else f"{shown(value)}, which is not a finite number,"
        raise DataError(f"{where}: {problem} in the column {column!r}; correct the row, or choose another column with "
                        f"{argument('label_column', 'NAME')}")
    return found


def well_formed(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def shown(value: Any) -> str:
    """Return a value for messages, shortened."""
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _scalar(value: Any, where: str, column: str, name: str) -> str:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: {column!r} is bytes that are not UTF-8 ({shown(value)}); write the column as "
                            f"strings, or choose another with {argument(name, 'NAME')}") from error
    if isinstance(value, dict | list | tuple | set):
        kind = "an object" if isinstance(value, dict) else "a list inside a list"
        raise DataError(f"{where}: {column!r} is {kind} ({shown(value)}); expected a string or a list of strings; "
                        f"choose another column with {argument(name, 'NAME')}")
    if is_missing(value):
        return ""
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


def _written_list(text: str) -> list[Any] | str:
    if not _LIST.fullmatch(text):
        return text
    try:
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    is_plain = isinstance(found, list) and all(isinstance(label, str | int | float) for label in found)
    return found if is_plain else text


def _is_multi_hot(values: list[Any]) -> bool:
    """Whether a list has only 0 and 1, and one of them more than once, which a list of labels does not."""
    return all(isinstance(value, int | float) and value in (0, 1) for value in values) and len({*values}) < len(values)
