"""Predict for new texts with a finished run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from embeddings.progress import Progress, silent
from pipeline.commands.prediction_inputs import Where, read_inputs
from pipeline.data.readers import findings
from pipeline.drawing.terminal import cell, is_cell
from pipeline.runs.input_checks import WARNING, InputCheck, summary
from pipeline.runs.trained import load_run
from pipeline.tasks.base import Prediction, Task

log = logging.getLogger("vecformer")


class Predicted(NamedTuple):
    """A text and what was predicted for it.

    Attributes:
        text: the text.
        prediction: the prediction of the task, JSON-serialisable.
        line: the prediction as one line of text, in columns separated by tabs; a warning is the last column.
    """

    text: str
    prediction: Prediction
    line: str

    def to_json(self) -> dict[str, Any]:
        """Return text and prediction as one object."""
        return {"text": self.text, **self.prediction}


def predict(
    run: Path, where: Where, *, precision: str = "float32", abstain: float | None = None, verify: bool = True,
    progress: Progress = silent,
) -> list[Predicted]:
    """Predict for texts.

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
    with findings.collecting() as found:
        inputs = read_inputs(trained, where)
    found.log()

    def report(checks: Sequence[InputCheck]) -> None:
        if counted := summary(checks, trained.setup.data.max_length):
            log.warning("%s", counted)

    predictions = trained.predict_for([one.example for one in inputs], abstain=abstain, progress=progress,
                                      report=report)
    return [Predicted(one.text, prediction, line(trained.task, one.example, prediction))
            for one, prediction in zip(inputs, predictions, strict=True)]


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
