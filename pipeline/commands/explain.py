"""Explain the prediction of a finished run for a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.readers.tables import well_formed
from pipeline.runs.trained import load_run

if TYPE_CHECKING:
    from pipeline.explanation.explanation import Explanation


def explain_run(
    run: Path, text: str, *, context: str = "", label: str | None = None, steps: int | None = None,
    word: str | None = None, train_data: Path | None = None, examples: int = 5, verify: bool = True,
) -> Explanation:
    """Load a finished run and explain its prediction for a text.

    Args:
        run: the run folder.
        text: the text; for question answering, the question.
        context: second text, for tasks on pairs of texts.
        label: the label to explain; None for the predicted one.
        steps: number of steps of the integral; None increases it until the sum is within 1% of the difference.
        word: for tagging, the word whose tag is explained, or its number.
        train_data: the training data, if they are no longer at the path of the run.
        examples: number of nearest training examples.
        verify: check that the files of the run have the SHA-256 that ``manifest.json`` lists.

    Raises:
        PipelineError, EmbeddingError, TransformerError: if the user has to correct something.
    """
    from pipeline.explanation.explain import explain

    trained = load_run(run, verify=verify)
    return explain(trained, well_formed(text), context=well_formed(context), label=label, steps=steps, word=word,
                   train_data=train_data, neighbours=examples)
