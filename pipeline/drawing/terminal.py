"""Text for terminals: control characters are shown as escapes, and long messages are shortened.

Labels, words, column names, texts and paths come from untrusted files. All printed text is escaped by
:func:`visible`, all printed JSON is written by :func:`to_json`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Sequence
from typing import IO, Any

MAX_MESSAGE = 4000  # characters of a message
_END = 500          # of them from its end, where the advice is

# C0 and C1 control characters, line and paragraph separators, bidirectional embeddings, overrides and isolates, and
# lone surrogates (bytes of a path that are not UTF-8).
_ACTIVE = r"\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_NOT_PRINTED = re.compile(rf"[\x00-\x08\x0b-\x1f{_ACTIVE}]")
_NOT_IN_CELLS = re.compile(rf"[\x00-\x1f{_ACTIVE}]")
_NOT_IN_JSON = re.compile(rf"[{_ACTIVE}]")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


Piece = tuple[str, str]
"""A text and the name of its style; "" for none."""

STYLES: dict[str, dict[str, Any]] = {  # arguments of click.style
    "header": {"bold": True}, "answer": {"bold": True, "reverse": True}, "faint": {"dim": True},
    "warning": {"fg": "yellow"},
    "for": {"fg": "green"}, "strongly for": {"fg": "green", "bold": True, "reverse": True},
    "against": {"fg": "red"}, "strongly against": {"fg": "red", "bold": True, "reverse": True},
    **{f"label {i}": {"fg": colour, "bold": True}
       for i, colour in enumerate(("cyan", "magenta", "green", "blue", "bright_red", "bright_yellow"))},
}
N_COLOURS = sum(name.startswith("label ") for name in STYLES)


def in_colour(stream: IO[str]) -> bool:
    """Whether output is coloured: on a terminal, unless ``NO_COLOR`` is set; and elsewhere if ``FORCE_COLOR`` is."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def output_is_in_colour() -> bool:
    """Whether standard output is coloured."""
    return in_colour(sys.stdout)


def output_is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def label_style(label: str) -> str:
    """Return the style of a label or type, always the same one."""
    return f"label {zlib.crc32(label.encode(errors='replace')) % N_COLOURS}"


def visible(text: str) -> str:
    r"""Show control characters as escapes such as ``\x1b``; tabs and ends of lines are kept.

    Example:
        >>> visible("\x1b[31mred\u202e")
        '\\x1b[31mred\\u202e'
    """
    return _NOT_PRINTED.sub(_escaped, text)


def cell(text: str) -> str:
    r"""Show tabs and ends of lines as ``\t`` and ``\n`` too, so that the text is one cell of one line."""
    return _NOT_IN_CELLS.sub(_escaped, text)


def is_cell(text: str) -> bool:
    """Whether :func:`cell` leaves a text as it is."""
    return _NOT_IN_CELLS.search(text) is None


def to_json(value: Any) -> str:
    r"""Write JSON on one line, with control characters as ``\uXXXX`` and other characters as they are."""
    return _NOT_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def csv_line(values: Sequence[Any]) -> str:
    """Write cells as one line of CSV (RFC 4180); lists of strings are joined by commas."""
    made = io.StringIO()
    texts = [", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else value
             for value in values]
    csv.writer(made, lineterminator="").writerow(texts)
    return made.getvalue()


def bounded(message: str, limit: int = MAX_MESSAGE) -> str:
    """Leave out the middle of a message that is longer than ``limit`` characters."""
    if len(message) <= limit:
        return message
    end = min(_END, limit // 4)
    return f"{message[:limit - end]} … ({len(message) - limit:,} characters left out) … {message[-end:]}"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python decodes a byte that is not UTF-8
        code -= 0xDC00
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
