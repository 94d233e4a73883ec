"""Export a finished run to a format that does not require this project."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from embeddings.progress import Progress, silent
from embeddings.table.arguments import argument
from pipeline.errors import ExportError
from pipeline.exports.base import EXTRA_WORDS, Exported, ExportOptions, find, require_options
from pipeline.runs.trained import load_run
from pipeline.runs.workspace import owned


def export(
    run: str | Path, out: str | Path, *, to: str = "hf", words: int = EXTRA_WORDS, without_ngrams: bool = False,
    int8: bool = False, vectors: Literal["tuned", "start"] = "tuned", verify: bool = True, progress: Progress = silent,
) -> Exported:
    """Export a run.

    Args:
        run: the run folder.
        out: the folder or file to create; it is complete or does not exist.
        to: name of the format: ``hf``, or another of :data:`pipeline.exports.base.EXPORTS`.
        words: number of words not seen in training to export; see :class:`~pipeline.exports.base.ExportOptions`.
        without_ngrams: export the Transformer of a run with an n-gram branch alone.
        int8: add a graph with int8 weights (``onnx``).
        vectors: the static vectors to export (``model2vec``, ``sentence-transformers``): ``tuned`` or ``start``, those
            before training.
        verify: check that the files of the run have the SHA-256 that ``manifest.json`` lists.
        progress: progress callback.

    Raises:
        ExportError: if ``out`` exists, or the format cannot represent the run.
        PipelineError, EmbeddingError, TransformerError: if the run is damaged.
    """
    target, chosen = Path(out), find(to)
    options = ExportOptions(words, without_ngrams, int8, vectors)
    require_options(chosen, options)
    with owned(target) as real:
        if real.exists():
            raise ExportError(f"{target}: already exists; choose another {argument('out')}, or remove it")
        progress("exporting", 0.0)
        trained = load_run(run, verify=verify)
        made = chosen.write(trained, target, options, progress, origin=str(run))
        progress("exporting", 1.0)
        return made
