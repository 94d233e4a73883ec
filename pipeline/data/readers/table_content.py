"""Tables in files whose name does not say so: Unicode text (``.txt``) of Excel, or JSON lines in a text file.

Read as lines of text, their column names, labels and keys would be taken for words.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.readers.delimited import SEPARATORS
from pipeline.data.readers.files import lines_of
from pipeline.data.readers.usual_names import USUAL_NAMES
from pipeline.errors import DataError

SAMPLE = 2**16    # characters from which the format is found
N_LINES = 20
MAX_NAME = 40     # characters of the name of a column

_LIST_OF_OBJECTS = re.compile(r"\s*\[\s*\{\s*\"[^\"\n]*\"\s*:")


def table_suffix(text: str) -> str:
    """Return the suffix that a text should have if it is a table: ``.tsv``, ``.csv``, ``.jsonl`` or ``.json``; or "".

    It is a table if its first line is an object of JSON with a usual key, or column names: with tabs, at least one
    usual name, and as many tabs in the next lines; with other separators, only usual names, of which there are two or
    more.
    """
    if _LIST_OF_OBJECTS.match(text[:SAMPLE]):
        return ".json"
    lines = [line for line in lines_of(text[:SAMPLE]) if line.strip()][:N_LINES]
    if len(text) > SAMPLE and len(lines) > 1 and len(lines) < N_LINES:
        del lines[-1]  # it may be cut
    if not lines:
        return ""
    if lines[0].lstrip().startswith("{"):
        return ".jsonl" if _has_usual_key(lines[0]) else ""
    for separator in SEPARATORS:
        names = [name.strip().strip('"').lower() for name in lines[0].split(separator)]
        n_usual = sum(name in USUAL_NAMES for name in names)
        if len(names) < 2 or len(lines) < 2 or max(map(len, names)) > MAX_NAME:
            continue
        if separator != "\t" and n_usual == len(names):
            return ".csv"
        if separator == "\t" and n_usual and (n_usual == len(names) or _is_regular(lines)):
            return ".tsv"
    return ""


def require_text(path: Path, lines: Sequence[str]) -> None:
    """Require that the first lines of a file are text.

    Raises:
        DataError: if they are a table.
    """
    if suffix := table_suffix("\n".join(lines)):
        raise DataError(f"{path}: the content is a table, whose labels and other columns would be read as text; change "
                        f"the end of its name to {suffix}, so that only the column of the texts is read")


def _is_regular(lines: Sequence[str]) -> bool:
    """Whether lines have as many tabs each, or as many quoted cells (the last of which may be cut)."""
    if len({line.count("\t") for line in lines}) == 1:
        return True
    rows = [len(cells) for cells in csv.reader([f"{line}\n" for line in lines], delimiter="\t")]
    return len(rows) > 2 and len({*rows[:-1]}) == 1


def _has_usual_key(line: str) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and any(key.strip().lower() in USUAL_NAMES for key in found)
