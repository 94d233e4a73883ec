"""Lines of labelled text in the format of fastText's classifier: ``__label__NAME`` for each label, and the text."""

from __future__ import annotations

from pathlib import Path

from pipeline.data.readers.files import iterate_lines
from pipeline.data.readers.rows import Rows, Table
from pipeline.errors import DataError

PREFIX = "__label__"
COLUMNS = ("text", "label")


def is_fasttext(text: str) -> bool:
    """Whether the first line that is not blank begins with a label."""
    return text[:1000].lstrip().startswith(PREFIX)


def read_fasttext(path: Path, text: str) -> Table:
    """Read lines as rows with the columns ``text`` and ``label``; a line with several labels has a list of them.

    Raises:
        DataError: if the first line has no label.
    """
    if text.strip() and not is_fasttext(text):
        raise DataError(f"{path}: the first line has no label of fastText ({PREFIX}NAME TEXT); text with labels is a "
                        "table with a line of column names, such as .tsv or .csv")
    rows = Rows(path)
    for number, line in enumerate(iterate_lines(text), start=1):
        words = line.split()
        labels = [word.removeprefix(PREFIX) for word in words if word.startswith(PREFIX)]
        if words:
            label = labels if len(labels) > 1 else labels[0] if labels else None
            rest = " ".join(word for word in words if not word.startswith(PREFIX))
            rows.add(COLUMNS, (rest, label), number)
    return Table(path, rows, COLUMNS, {})
