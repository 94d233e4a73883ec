"""Choose the columns of a table: the configured ones, or those with a usual name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from embeddings.specification.suggest import did_you_mean
from embeddings.table.arguments import argument, setting
from embeddings.tokenization.corpus import CorpusFiles
from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.delimited import SEPARATORS
from pipeline.data.readers.rows import MAX_TITLE, Row, Table, listed
from pipeline.data.readers.table_content import N_LINES, require_text
from pipeline.data.readers.tables import is_table, read_rows
from pipeline.data.readers.usual_names import LABEL_COLUMNS, PAIR_COLUMNS, TEXT_COLUMNS
from pipeline.errors import DataError

__all__ = ["LABEL_COLUMNS", "PAIR_COLUMNS", "TEXT_COLUMNS", "find_column", "find_texts", "read_unlabelled",
           "require_some_usual_name", "rows_with_text", "texts_of_table", "usual_column"]


def find_column(rows: Table, path: Path, wanted: str, usual_names: Sequence[str], key: str) -> str:
    """Choose a column: the configured one, or the first usual name that exists (ignoring case).

    Columns whose names differ only in case or surrounding white space are read as one if no row has a value in both.

    Args:
        rows: the rows of one file.
        path: that file, for the message.
        wanted: the configured column; "" to search by usual names.
        usual_names: candidate names, the most common first.
        key: the key of the configuration, for the message.

    Raises:
        DataError: if there is no such column, or there are several.
    """
    option = argument(key, "NAME") if key != "text_b_column" else setting("data.text_b_column=NAME")
    found = wanted if wanted in rows.columns else "" if wanted else usual_column(rows.columns, usual_names)
    if not found and wanted:
        raise DataError(f"{path}: no column {wanted!r}; choose one of {listed(rows.columns)} with {option}."
                        f"{did_you_mean(wanted, rows.columns)}")
    if not found:
        other = next((mark for mark in SEPARATORS if len(rows.columns) == 1 and mark in rows.columns[0]), "")
        if other:
            raise DataError(f"{path}: the first line is the only column {listed(rows.columns)}; its names seem to be "
                            f"separated by {other!r}: leave out {argument('separator')}, or set it to that")
        raise DataError(f"{path}: none of the columns {listed(rows.columns)} has a usual name "
                        f"({', '.join(usual_names)}); choose one with {option} ({_hint(rows, usual_names)})")
    if not wanted:
        _note_others(rows, found, usual_names, option)
    rows.require_single(found)
    rows.merge_spellings(found, prefer=bool(wanted))
    return found


def _note_others(rows: Table, found: str, usual_names: Sequence[str], option: str) -> None:
    """Report that other columns have a usual name too."""
    chosen = found.strip().lower()
    others = [name for name in rows.columns if name.strip().lower() in usual_names and name.strip().lower() != chosen]
    if others:
        findings.current().note(f"{rows.path}: column {found!r} is read, not {listed(others)} ({option} chooses "
                                "another)")


def _hint(rows: Table, usual_names: Sequence[str]) -> str:
    """Return where the names of the columns are: in one of the next lines with a usual name, below a title."""
    line = next((row.line for row in rows.rows[:MAX_TITLE] for value in row.values
                 if isinstance(value, str) and value.strip().lower() in usual_names), 0)
    return (f"line {line} seems to be the column names: delete the lines before it" if line else
            "the first line of the file must be the column names")


def require_some_usual_name(rows: Table, path: Path, config: DataConfig, label_names: Sequence[str]) -> None:
    """Require that the column of the text or that of the label is configured or has a usual name.

    Raises:
        DataError: if neither is found; one message then names both options.
    """
    found = (config.text_columns or config.label_column
             or usual_column(rows.columns, (*TEXT_COLUMNS, *PAIR_COLUMNS, *label_names)))
    if not found and len(rows.columns) > 1:
        raise DataError(
            f"{path}: none of the columns {listed(rows.columns)} has a usual name of a text or a label; choose them "
            f"with {argument('text_column', 'NAME')} and {argument('label_column', 'NAME')} "
            f"({_hint(rows, (*TEXT_COLUMNS, *label_names))})"
        )


def find_texts(rows: Table, path: Path, config: DataConfig) -> tuple[tuple[str, ...], str]:
    """Choose the columns of the text, which are joined, and that of the second text of a pair ("" for single texts).

    Two columns with the usual names of a pair are taken as one if no column has the usual name of a single text.

    Raises:
        DataError: if there are no such columns.
    """
    wanted = config.text_columns
    if config.text_b_column:
        second = find_column(rows, path, config.text_b_column, (), "text_b_column")
        usual_names = [name for name in (*TEXT_COLUMNS, *PAIR_COLUMNS) if name != second.lower()]
    else:
        second, usual_names = "", list(TEXT_COLUMNS)
        if not wanted and not usual_column(rows.columns, TEXT_COLUMNS):
            for name_a, name_b in PAIR_COLUMNS.items():
                if usual_column(rows.columns, (name_a,)) and usual_column(rows.columns, (name_b,)):
                    first, second = (find_column(rows, path, "", (name,), "text_column") for name in (name_a, name_b))
                    return (first,), second
    return tuple(find_column(rows, path, name, usual_names, "text_column") for name in wanted or ("",)), second


def rows_with_text(rows: Table, path: Path, config: DataConfig) -> Iterator[tuple[Row, str, str]]:
    """Yield the rows with their text and, for pairs, the second text ("" for single texts).

    Several text columns are joined by line breaks. Rows without a text, or with one text of a pair, are left out and
    counted in the findings.

    Raises:
        DataError: if the columns are not found, or a cell is not a text.
    """
    columns, second = find_texts(rows, path, config)
    findings.current().choose(path, "text", (*columns, second) if second else columns)
    first = columns[0]
    for row in rows.rows:
        text = row.text(first) if len(columns) == 1 else _joined(row, columns)
        text_b = row.text(second) if second else ""
        if not text or text.isspace() or (second and (not text_b or text_b.isspace())):
            findings.current().leave_out("empty (left out)", row.where)
        else:
            yield row, text, text_b


def _joined(row: Row, columns: Sequence[str]) -> str:
    return "\n".join(text for column in columns if (text := row.text(column).strip()))


def texts_of_table(path: Path, config: DataConfig) -> Iterator[str]:
    """Yield the texts of a table, both texts of pairs; rows without a text are counted in the findings.

    Raises:
        DataError: if the table cannot be read or has no column of texts.
    """
    for _, *texts in rows_with_text(read_rows(path, config), path, config):
        yield from filter(None, texts)


def read_unlabelled(path: Path, config: DataConfig) -> tuple[str, ...]:
    """Read the texts of a table, or the non-blank lines of a text file (plain or compressed)."""
    if is_table(path):
        return tuple(texts_of_table(path, config))
    lines = tuple(line.strip() for line in CorpusFiles((path,), encoding=config.encoding) if line.strip())
    require_text(path, lines[:N_LINES])
    return lines


def usual_column(columns: Sequence[str], usual_names: Sequence[str]) -> str:
    """Return the first usual name that is a column (ignoring case), in the spelling of the file; "" if none is."""
    by_name = {column.strip().lower(): column for column in reversed(columns)}
    return next((by_name[name] for name in usual_names if name in by_name), "")
