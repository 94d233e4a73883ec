"""Predict for new texts with a finished run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from embeddings.progress import Progress, silent
from pipeline.commands.prediction_inputs import AT_ONCE, Input, Where, input_batches, read_inputs
from pipeline.data.writers.grid import Grid, add, is_blank_row
from pipeline.data.writers.results import check_result, check_size, content_of
from pipeline.drawing.page import write_whole
from pipeline.drawing.terminal import cell, is_cell
from pipeline.runs.input_checks import WARNING, CheckCounts
from pipeline.runs.trained import TrainedRun, load_run
from pipeline.tasks.base import Prediction, Task

log = logging.getLogger("vecformer")

MAX_ADDED = 5  # columns that a task adds to a table at most


class Predicted(NamedTuple):
    """A text and what was predicted for it.

    Attributes:
        text: the text.
        prediction: the prediction of the task, JSON-serialisable.
        example: the example of the task that was made of the text.
        line: the prediction as one line of text, in columns separated by tabs; a warning is the last column.
        columns: what is added to the row of a table, by the name of the column.
    """

    text: str
    prediction: Prediction
    example: Any
    line: str
    columns: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return text and prediction as one object."""
        return {"text": self.text, **self.prediction}


class Columns(NamedTuple):
    """The columns that were added to a table, and the number of its rows with a warning.

    Attributes:
        names: names of the columns.
        n_rows: number of rows with a prediction.
        n_flagged: how many of them have a warning.
    """

    names: tuple[str, ...]
    n_rows: int
    n_flagged: int


def predict(
    run: Path, where: Where, *, precision: str = "float32", abstain: float | None = None, verify: bool = True,
    progress: Progress = silent,
) -> Iterator[list[Predicted]]:
    """Predict for texts, in batches: those of standard input as they arrive, those of a file after it was read.

    Args:
        run: the run folder.
        where: the texts.
        precision: ``float32``, ``bfloat16``, ``int8`` or ``auto``.
        abstain: error rate of prediction sets, for classification; None for none.
        verify: check that the files of the run have the SHA-256 that ``manifest.json`` lists.
        progress: progress callback.

    Raises:
        PipelineError, EmbeddingError, TransformerError: if the user has to correct something.
    """
    where.check()
    trained = load_run(run, precision=precision, verify=verify)
    for inputs, predictions in _predictions(trained, input_batches(trained, where), abstain, progress):
        yield [Predicted(one.text, prediction, one.example, line(trained.task, one.example, prediction),
                         trained.task.columns(prediction))
               for one, prediction in zip(inputs, predictions, strict=True)]


def predict_table(
    run: Path, where: Where, result: Path, *, overwrite: bool = False, precision: str = "float32",
    abstain: float | None = None, verify: bool = True, progress: Progress = silent,
) -> Columns:
    """Predict for the rows of a table, and write the table with columns of the predictions.

    All rows and columns are kept, in order; a blank row has no prediction. The task names the columns
    (:meth:`pipeline.tasks.base.Task.columns`); the last one, ``warning``, marks texts that are empty or have no known
    word. Texts that are not from a table become one.

    Args:
        run: the run folder.
        where: the texts.
        result: the file to write; its suffix decides the format.
        overwrite: replace an existing file.
        precision: as for :func:`predict`, like the following.
        abstain: error rate of prediction sets.
        verify: check the files of the run.
        progress: progress callback.

    Raises:
        PipelineError, EmbeddingError, TransformerError: if the user has to correct something; nothing is then written.
    """
    where.check()
    check_result(result, where.file, overwrite=overwrite)
    trained = load_run(run, precision=precision, verify=verify)
    inputs, grid = read_inputs(trained, where, whole=True)
    table = where.file if grid else None
    grid = grid or _grid([one.example for one in inputs], [one.text for one in inputs])
    check_size(result, grid, [WARNING] * MAX_ADDED)
    batches = [inputs[i : i + AT_ONCE] for i in range(0, len(inputs), AT_ONCE)]
    values = [{**trained.task.columns(prediction), WARNING: prediction.get(WARNING)}
              for _, predictions in _predictions(trained, batches, abstain, progress, n_batches=len(batches))
              for prediction in predictions]
    names = [*dict.fromkeys(name for one in values for name in one if name != WARNING), WARNING]
    blank = [is_blank_row(grid.rows[at]) for at in grid.filled] if table else [False] * len(values)
    added = add(grid, [{name: None if skipped else one.get(name) for name in names}
                       for skipped, one in zip(blank, values, strict=True)])
    write_whole(result, content_of(result, table, grid, added, where.encoding))
    return Columns(tuple(added.names), blank.count(False), sum(
        not skipped and one[WARNING] is not None for skipped, one in zip(blank, values, strict=True)))


def _predictions(
    trained: TrainedRun, batches: Iterable[list[Input]], abstain: float | None, progress: Progress, *,
    n_batches: int = 1,
) -> Iterator[tuple[list[Input], list[Prediction]]]:
    """Yield batches with their predictions; at the end, texts that are marked or truncated are counted in the log."""
    counts = CheckCounts()
    trained.warn_of_precision(abstain)

    for number, inputs in enumerate(batches):

        def partly(what: str, share: float, *, done: int = number) -> None:
            progress(what, min(1.0, (done + share) / n_batches))

        yield inputs, trained.predict_for([one.example for one in inputs], abstain=abstain, report=counts.add,
                                          progress=partly if n_batches > 1 else progress)
    if counted := counts.summary(trained.setup.data.max_length):
        log.warning("%s", counted)


def _grid(examples: Sequence[Any], texts: Sequence[str]) -> Grid:
    """Return a table of texts that are not from one: ``text``, or ``question`` and ``context``, or two texts."""
    seconds = [getattr(example, "context", "") or getattr(example, "text_b", "") for example in examples]
    if not any(seconds):
        return Grid(["text"], [[text] for text in texts], range(len(texts)))
    names = ["question", "context"] if hasattr(examples[0], "context") else ["text_a", "text_b"]
    return Grid(names, [[text, second] for text, second in zip(texts, seconds, strict=True)], range(len(texts)))


def line(task: Task[Any], example: Any, prediction: Prediction) -> str:
    """Return a prediction as one line: tabs and ends of lines inside a cell are escapes, a warning is a last column."""
    strings = {item.name: value for item in fields(example) if isinstance(value := getattr(example, item.name), str)}
    if not all(map(is_cell, (*strings.values(), *_strings(prediction)))):
        example = replace(example, **{name: cell(value) for name, value in strings.items()})
        prediction = _escaped(prediction)
    shown = task.show(example, prediction)
    warning = prediction.get(WARNING)
    # A blank translation of a blank line needs no warning, which would be read as the translation.
    return f"{shown}\twarning: {warning}" if warning and shown else shown


def _strings(prediction: Mapping[str, Any]) -> list[str]:
    """Return the strings of a prediction: its values, and the elements of its lists."""
    return [text for value in prediction.values() for text in (value if isinstance(value, list) else [value])
            if isinstance(text, str)]


def _escaped(value: Any) -> Any:
    """Return a JSON value in which all strings, keys included, are cells of one line."""
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, Mapping):
        return {cell(name): _escaped(inner) for name, inner in value.items()}
    return [*map(_escaped, value)] if isinstance(value, list) else value
