"""Evaluate a finished run on other labelled data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from embeddings.progress import Progress, silent
from pipeline.runs.trained import load_run
from pipeline.tasks.base import Measures


def evaluate(
    run: str | Path, data: str | Path, *, text_column: str | tuple[str, ...] = "", label_column: str = "",
    separator: str = "", encoding: str = "", verify: bool = True, progress: Progress = silent,
) -> Measures:
    """Evaluate a finished run on a file of labelled examples.

    Args:
        run: the run folder.
        data: a file in a format of the task.
        text_column: column of the text, or several that are joined; by default as configured for the run.
        label_column: column of the label; by default as configured for the run.
        separator: separator of the cells of delimited text; by default detected.
        encoding: encoding of the file; by default detected.
        verify: check that the files of the run have the SHA-256 that ``manifest.json`` lists.
        progress: progress callback.

    Returns:
        The measures of the task; for classification ``accuracy``, ``macro_f1``, ``balanced_accuracy``, ``mcc``,
        ``loss``, ``calibration_error``, ``n`` and ``by_label``.

    Raises:
        PipelineError, EmbeddingError, TransformerError: if the user has to correct something, such as unknown labels.
    """
    trained = load_run(run, verify=verify)
    config = trained.setup.data
    config = replace(config, text_column=text_column or config.text_column,
                     label_column=label_column or config.label_column, separator=separator, encoding=encoding)
    return trained.evaluate(trained.task.reader.read_examples(Path(data), config), progress=progress)
