"""Choose the columns of a table: the configured ones, or those with a usual name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embeddings.tokenization.corpus import CorpusFiles
from pipeline.config import DataConfig
from pipeline.data.readers.tables import Row, known_suffixes, read_rows
from pipeline.errors import DataError

TEXT_COLUMNS = ("text", "sentence", "review", "content", "body", "question", "document", "article", "tweet", "title")
PAIR_COLUMNS = {
    "text_a": "text_b",
    "sentence1": "sentence2",
    "premise": "hypothesis",
    "question1": "question2",
    "sentence_a": "sentence_b",
}
LABEL_COLUMNS = ("label", "labels", "class", "category", "topic", "target", "sentiment", "tag")


def find_column(rows: Sequence[Row], path: Path, wanted: str, usual_names: Sequence[str], key: str) -> str:
    """Choose a column: the configured one, or the first usual name that exists (ignoring case).

    Args:
        rows: the rows of one file.
        path: that file, for the message.
        wanted: the configured column; "" to search by usual names.
        usual_names: candidate names, the most common first.
        key: the key of the configuration, for the message.

    Raises:
        DataError: if there is no such column.
    """
    columns = list(rows[0].cells)
    if wanted:
        if wanted in columns:
            return wanted
        raise DataError(f"{path}: no column {wanted!r}; choose one of {', '.join(map(repr, columns))}")
    found = usual_column(columns, usual_names)
    if found:
        return found
    option = "--" + key.replace("_", "-")
    raise DataError(
        f"{path}: none of the columns {', '.join(map(repr, columns))} has a usual name ({', '.join(usual_names)}); "
        f"choose one with {option} NAME (the first line of the file must be the column names)"
    )


def find_texts(rows: Sequence[Row], path: Path, config: DataConfig) -> tuple[str, str]:
    """Choose the column of the text and the column of the second text of a pair; the latter is "" for single texts.

    Two columns with the usual names of a pair are taken as one if no column has the usual name of a single text.

    Raises:
        DataError: if there are no such columns.
    """
    columns = list(rows[0].cells)
    if config.text_b_column:
        second = find_column(rows, path, config.text_b_column, (), "text_b_column")
        usual_names = [name for name in (*TEXT_COLUMNS, *PAIR_COLUMNS) if name != second.lower()]
        return find_column(rows, path, config.text_column, usual_names, "text_column"), second
    if not config.text_column and not usual_column(columns, TEXT_COLUMNS):
        for name_a, name_b in PAIR_COLUMNS.items():
            first, second = usual_column(columns, (name_a,)), usual_column(columns, (name_b,))
            if first and second:
                return first, second
    return find_column(rows, path, config.text_column, TEXT_COLUMNS, "text_column"), ""


def read_unlabelled(path: Path, config: DataConfig) -> tuple[str, ...]:
    """Read the texts of a table, or the non-blank lines of a text file (plain or gzip)."""
    if path.suffix in known_suffixes():
        rows = read_rows(path)
        columns = [column for column in find_texts(rows, path, config) if column]
        return tuple(row.cells.get(column, "") for row in rows for column in columns)
    return tuple(line.strip() for line in CorpusFiles((path,)) if line.strip())


def usual_column(columns: Sequence[str], usual_names: Sequence[str]) -> str:
    """Return the first usual name that is a column (ignoring case), in the spelling of the file; "" if none is."""
    by_name = {column.lower(): column for column in reversed(columns)}
    return next((by_name[name] for name in usual_names if name in by_name), "")
