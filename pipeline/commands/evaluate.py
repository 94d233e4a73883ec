"""Measuring a finished run on other labelled data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from embeddings.progress import Progress, silent
from pipeline.runs.trained import load_run
from pipeline.tasks.base import Measures


def evaluate(
    run: str | Path, data: str | Path, *, text_column: str = "", label_column: str = "", progress: Progress = silent
) -> Measures:
    """Measure a finished run on a file of labelled examples.

    Args:
        run: the run's folder.
        data: a file (.tsv .csv .jsonl .parquet).
        text_column: column of the text; by default as the run was configured.
        label_column: column of the label; likewise.
        progress: told the share of the texts that is done.

    Returns:
        The task's measures; for classification ``accuracy``, ``macro_f1``, ``n`` and ``loss``.

    Raises:
        PipelineError, EmbeddingError, TransformerError: for what the user can mend, such as labels that the run does
            not know.
    """
    trained = load_run(run)
    columns = trained.config.data
    columns = replace(columns, text_column=text_column or columns.text_column,
                      label_column=label_column or columns.label_column)
    examples = trained.task.read_examples(Path(data), columns)
    return trained.evaluate(examples, progress=progress)
