"""Evaluate a finished run on other labelled data."""

from __future__ import annotations

from pathlib import Path

from embeddings.progress import Progress, silent
from embeddings.table.paths import written
from pipeline.errors import DataError
from pipeline.runs.trained import load_run
from pipeline.tasks.base import Measures


def evaluate(
    run: str | Path, data: str | Path, *, separator: str = "", encoding: str = "", abstain: float | None = None,
    verify: bool = True, progress: Progress = silent, **columns: str | tuple[str, ...],
) -> Measures:
    """Evaluate a finished run on a file of labelled examples.

    Args:
        run: the run folder.
        data: a file in a format of the task.
        separator: separator of the cells of delimited text; by default detected.
        encoding: encoding of the file; by default detected.
        abstain: error rate of prediction sets, for classification; None for none.
        verify: check that the files of the run have the SHA-256 that ``manifest.json`` lists.
        progress: progress callback.
        columns: columns of the file, named as in the section ``[data]`` of a configuration, such as ``text_column``;
            by default those of the run.

    Returns:
        The measures of the task; for classification ``accuracy``, ``macro_f1``, ``balanced_accuracy``, ``mcc``,
        ``loss``, ``calibration_error``, ``n`` and ``by_label``. With ``abstain`` also those of
        :func:`pipeline.measures.conformal.set_measures`.

    Raises:
        PipelineError, EmbeddingError, TransformerError: if the user has to correct something, such as unknown labels.
    """
    trained = load_run(run, verify=verify)
    given = {key: value for key, value in columns.items() if value}
    config = trained.setup.data.changed(**given, separator=separator, encoding=encoding)
    examples = trained.task.reader.read_examples(Path(data), config)
    try:
        return trained.evaluate(examples, abstain=abstain, progress=progress)
    except DataError as error:
        raise DataError(f"{error}. The run is {written(Path(run))}") from error
