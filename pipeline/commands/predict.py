"""Predict for new texts with a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from embeddings.progress import Progress, silent
from pipeline.data.readers.tables import decode_text, lines_of, read_text, well_formed
from pipeline.errors import DataError
from pipeline.runs.trained import load_run
from pipeline.tasks.base import Prediction


class Predicted(NamedTuple):
    """A text and what was predicted for it.

    Attributes:
        text: the text.
        prediction: the prediction of the task, JSON-serialisable.
        line: the prediction as one line of text.
    """

    text: str
    prediction: Prediction
    line: str

    def to_json(self) -> dict[str, Any]:
        """Return text and prediction as one object."""
        return {"text": self.text, **self.prediction}


def read_texts(texts: Sequence[str], file: Path | None, standard_input: bytes | None) -> list[str]:
    """Choose the texts to predict for: the given ones, the lines of a file, or those of standard input.

    Raises:
        DataError: if both texts and a file are given, there is no text, or the input is not UTF-8.
    """
    if file and texts:
        raise DataError("both texts and --file are given; leave one out")
    if file:
        chosen = lines_of(read_text(file))
    elif texts:
        chosen = [well_formed(text) for text in texts]
    else:
        chosen = lines_of(decode_text(standard_input or b"", "standard input"))
    if not chosen:
        raise DataError(f"{file or 'standard input'}: no text to predict for")
    return chosen


def predict(
    run: Path, texts: Sequence[str], *, context: str = "", precision: str = "float32", verify: bool = True,
    progress: Progress = silent,
) -> list[Predicted]:
    """Predict for texts.

    Args:
        run: the run folder.
        texts: the texts.
        context: second text of all of them, for tasks on pairs of texts.
        precision: ``float32``, ``bfloat16``, ``int8`` or ``auto``.
        verify: check that the files of the run have the SHA-256 that ``manifest.json`` lists.
        progress: progress callback.

    Raises:
        PipelineError, EmbeddingError, TransformerError: if the user has to correct something.
    """
    trained = load_run(run, precision=precision, verify=verify)
    task = trained.task
    examples = [task.reader.example(text, well_formed(context)) for text in texts]
    predictions = trained.predict_for(examples, progress=progress)
    return [Predicted(text, prediction, task.show(example, prediction))
            for text, example, prediction in zip(texts, examples, predictions, strict=True)]
