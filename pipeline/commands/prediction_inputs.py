"""The texts to predict for: arguments, lines of a text file or of standard input, or the rows of a table."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from embeddings.table.arguments import argument
from embeddings.table.paths import written
from pipeline.commands.line_stream import line_batches
from pipeline.data.config import DataConfig
from pipeline.data.examples import TaggedExample
from pipeline.data.readers import findings
from pipeline.data.readers.columns import find_column, find_texts, usual_column
from pipeline.data.readers.fasttext_lines import is_fasttext
from pipeline.data.readers.files import decode_text, format_suffix, lines_of, read_bytes
from pipeline.data.readers.rows import Row, Table, listed
from pipeline.data.readers.table_content import table_suffix
from pipeline.data.readers.tables import UNNAMED, is_table, read_rows, well_formed
from pipeline.data.writers.grid import Grid
from pipeline.data.writers.results import open_grid
from pipeline.errors import DataError
from pipeline.runs.trained import TrainedRun

log = logging.getLogger("vecformer")

AT_ONCE = 2048  # texts of a batch, whose predictions are printed together
MAX_NAME = 255  # characters of a text that may be the name of a file
LINES_OF_LABELS = (".txt", "")  # suffixes of files that can be in the format of fastText


class Input(NamedTuple):
    """A text to predict for, and the example of the task that is made of it."""

    text: str
    example: Any


class Inputs(NamedTuple):
    """Texts to predict for.

    Attributes:
        inputs: the texts.
        grid: all rows and columns of their table; None if they are not from a table.
    """

    inputs: list[Input]
    grid: Grid | None = None


@dataclass(frozen=True)
class Where:
    """Where the texts are.

    Attributes:
        texts: given texts.
        file: a text file or a table; None for none.
        standard_input: standard input, which is read if there are neither texts nor a file.
        context: second text of all of them; "" for none.
        text_columns: columns of the text in a table; () to find them as the run did, or by name.
        context_column: column of the second text in a table; "" to find it.
        reading: other keys of the section ``[data]`` of a configuration, such as ``word_column``.
        separator: separator of the cells of a table; "" to find it.
        encoding: encoding of the file; "" to find it.
        option: option that names the file, for messages.
    """

    texts: Sequence[str] = ()
    file: Path | None = None
    standard_input: BinaryIO | None = None
    context: str = ""
    text_columns: tuple[str, ...] = ()
    context_column: str = ""
    reading: Mapping[str, str] = field(default_factory=dict)
    separator: str = ""
    encoding: str = ""
    option: str = "--file"

    def check(self) -> None:
        """Check that the texts come from one place.

        Raises:
            DataError: if both texts and a file are given, or options of tables without a table.
        """
        if self.file and self.texts:
            raise DataError("both texts and --file are given; leave one out")
        given = {"--text-column": self.text_columns, "--context-column": self.context_column,
                 "--separator": self.separator}
        if self.file and self.file.is_dir():
            raise DataError(f"{self.file} is a folder; name a file in it")
        wrong = next((option for option, value in given.items() if value), "")
        if wrong and (self.file is None or not is_table(self.file)):
            raise DataError(f"{wrong} is for tables; name one with {self.option}, such as texts.csv")
        if self.context and self.context_column:
            raise DataError("both --context and --context-column are given; leave one out")


def input_batches(trained: TrainedRun, where: Where) -> Iterator[list[Input]]:
    """Yield the texts to predict for, from a place that :meth:`Where.check` accepts.

    A file is read completely before its first batch; the lines of standard input are yielded as they arrive.

    Raises:
        DataError: if there is no text, the file cannot be read, or the task cannot predict for one of the texts.
    """
    if where.file is not None or where.texts or where.standard_input is None:
        inputs = read_inputs(trained, where).inputs
        yield from (inputs[i : i + AT_ONCE] for i in range(0, len(inputs), AT_ONCE))
        return
    n = 0
    for lines in line_batches(where.standard_input, "standard input", where.encoding):
        n += len(lines)
        made = _made(trained, where, lines)
        yield from (made[i : i + AT_ONCE] for i in range(0, len(made), AT_ONCE))
    if not n:
        raise _nothing()


def read_inputs(trained: TrainedRun, where: Where, *, whole: bool = False) -> Inputs:
    """Read all texts to predict for, from a place that :meth:`Where.check` accepts.

    Args:
        trained: the run.
        where: the texts.
        whole: whether to return all rows and columns of a table.

    Raises:
        DataError: if there is no text, the file cannot be read, or the task cannot predict for one of the texts.
    """
    with findings.collecting() as found:
        if where.file is None:
            lines = where.texts
            for text in lines:
                if len(text) <= MAX_NAME and Path(text).is_file():
                    log.warning("the text %r is also the name of a file; to predict for the texts in it, write %s",
                                text, argument("file", text))
            if not lines and where.standard_input is not None:
                lines = [line for batch in line_batches(where.standard_input, "standard input", where.encoding)
                         for line in batch]
            inputs = Inputs(_made(trained, where, lines))
        elif is_table(where.file):
            inputs = _of_table(trained, where, where.file, whole=whole)
        else:
            inputs = _of_lines(trained, where, where.file, whole=whole)
    found.log()
    if not inputs.inputs:
        raise DataError(f"{where.file}: no text to predict for") if where.file else _nothing()
    return inputs


def _nothing() -> DataError:
    return DataError(f"standard input: no text to predict for; write a text, or {argument('file', 'FILE')}")


def _made(trained: TrainedRun, where: Where, lines: Iterable[str]) -> list[Input]:
    context = well_formed(where.context)
    return [Input(text, trained.example(text, context)) for text in map(well_formed, lines)]


def _of_lines(trained: TrainedRun, where: Where, file: Path, *, whole: bool) -> Inputs:
    """Read the lines of a text file, or the texts of a file in another format of the task."""
    config = trained.setup.data
    suffix = format_suffix(file)
    if suffix not in (".txt", "") and suffix in trained.task.reader.suffixes(config):
        return Inputs(list(_of_reader(trained, where, file)))
    text = decode_text(read_bytes(file), str(file), where.encoding)
    if (suffix in LINES_OF_LABELS and is_fasttext(text)) or (suffix in UNNAMED and table_suffix(text)):
        table = read_rows(file, _config(trained, where))
        grid = open_grid(table, where.encoding) if whole else None
        return Inputs(list(_of_rows(trained, where, table, *_columns(trained, where, table))), grid)
    return Inputs([_input(trained, line, where.context, f"{written(file)}:{number}")
                   for number, line in enumerate(lines_of(text), start=1)])


def _of_table(trained: TrainedRun, where: Where, file: Path, *, whole: bool) -> Inputs:
    """Read the rows of a table, or the examples of a file in the task's own format with the suffix of a table."""
    reader = trained.task.reader
    own_format = not reader.has_labels and format_suffix(file) in reader.suffixes(trained.setup.data)
    try:
        table = read_rows(file, _config(trained, where))
        grid = open_grid(table, where.encoding) if whole else None  # before columns of similar names are merged
        columns, second = _columns(trained, where, table)
    except DataError as error:
        if where.text_columns or not own_format:
            raise
        try:
            return Inputs(list(_of_reader(trained, where, file)))  # words in columns (.tsv), or SQuAD's .json
        except DataError:
            raise error from None
    return Inputs(list(_of_rows(trained, where, table, columns, second)), grid)


def _of_reader(trained: TrainedRun, where: Where, file: Path) -> Iterator[Input]:
    """Yield the examples of a file in the task's own format, without their gold answers."""
    for example in trained.task.reader.read_file(file, _config(trained, where)):
        texts = trained.task.reader.texts([example])
        text = getattr(example, "question", texts[0] if texts else "")
        yield Input(text if isinstance(text, str) else " ".join(text), example)


def _of_rows(
    trained: TrainedRun, where: Where, table: Table, columns: Sequence[str], second: str
) -> Iterator[Input]:
    for row in table:
        cell = row.get(columns[0])
        if trained.config.task == "tagging" and isinstance(cell, list):
            words = tuple(row.text(columns[0]).split())
            yield Input(" ".join(words), TaggedExample(words, (), row.where))
        else:
            context = row.text(second) if second else where.context
            yield _input(trained, _text(row, columns), context, row.where)


def _columns(trained: TrainedRun, where: Where, table: Table) -> tuple[tuple[str, ...], str]:
    """Choose the columns of the text, and that of the context ("" for none).

    Raises:
        DataError: if there are no such columns.
    """
    task, path = trained.task, table.path
    config = _config(trained, where)
    if where.text_columns and (missing := [name for name in where.text_columns if name not in table.columns]):
        raise DataError(f"{path}: no column {missing[0]!r}; choose one of {listed(table.columns)}")
    configured = config.text_columns if set(config.text_columns) <= set(table.columns) else ()
    config = replace(config, text_column=configured, text_b_column=where.context_column or (
        config.text_b_column if config.text_b_column in table.columns else ""))
    if task.context_columns:
        text = configured or (find_column(table, path, "", task.text_columns, "text_column"),)
        given = where.context_column or usual_column(table.columns, task.context_columns)
        if not given and not where.context:
            raise DataError(f"{path}: none of the columns {listed(table.columns)} has a usual name "
                            f"({', '.join(task.context_columns)}); choose one with --context-column NAME")
        return text, find_column(table, path, given, (), "context_column") if given else ""
    if trained.setup.resolved.token_types and task.reader.has_labels:
        columns, second = find_texts(table, path, config)
        if not second and not where.context:
            raise DataError(f"{path}: the model reads pairs of texts; choose the column of the second text with "
                            f"--context-column NAME, one of {listed(table.columns)}")
        return columns, second
    if where.context_column:
        raise DataError("--context-column: the model of this run reads single texts; leave it out")
    languages = [name for name in getattr(trained.setup.resolved, "languages", ())[:1] if name in table.columns]
    usual_names = (*languages, *task.text_columns)
    if configured:
        return tuple(find_column(table, path, name, (), "text_column") for name in configured), ""
    return (find_column(table, path, "", usual_names, "text_column"),), ""


def _config(trained: TrainedRun, where: Where) -> DataConfig:
    config = trained.setup.data
    given = {key: value for key, value in where.reading.items() if value}
    return config.changed(text_column=where.text_columns or config.text_columns, separator=where.separator,
                          encoding=where.encoding, **given)


def _text(row: Row, columns: Sequence[str]) -> str:
    if len(columns) == 1:
        return row.text(columns[0])
    return "\n".join(text for column in columns if (text := row.text(column).strip()))


def _input(trained: TrainedRun, text: str, context: str, where: str) -> Input:
    try:
        return Input(text, replace(trained.example(text, well_formed(context)), where=where))
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
