"""Which unlabelled texts to label next: those that represent the texts of which a run is uncertain."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.progress import Progress, silent
from embeddings.table.oov_policy import MISSING, parse_policy
from pipeline.baselines.classification import MeanVectors
from pipeline.commands.facility_location import select, unit
from pipeline.commands.prediction_inputs import Where, read_inputs
from pipeline.data.given_texts import checked_texts
from pipeline.data.writers.grid import MISSING as EMPTY
from pipeline.data.writers.grid import Grid, add
from pipeline.data.writers.results import check_result, check_size, content_of
from pipeline.drawing.page import write_whole
from pipeline.errors import ConfigError, DataError, PipelineError
from pipeline.explanation.nearest_examples import training_examples
from pipeline.runs.trained import TrainedRun, load_run
from pipeline.tasks.text_input import joined

log = logging.getLogger("vecformer")

N = 50
MAX_TEXTS = 5_000  # candidates, and texts that they have to represent
SEED = 1           # of the sample of a larger pool
TASK = "classification"


class Suggestion(NamedTuple):
    """A text to label.

    Attributes:
        text: the text.
        score: share of the uncertainty of all texts that it represents and earlier suggestions do not, 0 to 1.
        label: label that the run predicts.
        uncertainty: 1 minus the difference of the two largest probabilities.
        represents: number of texts that are more similar to it than to the other suggestions and labelled texts.
        unknown_words: number of its words without a vector; they have no effect on the score.
        row: its place among the given texts, from 0.
    """

    text: str
    score: float
    label: str
    uncertainty: float
    represents: int
    unknown_words: int
    row: int

    def columns(self) -> dict[str, Any]:
        """Return what is added to the row of a table, by the name of the column."""
        return {name: value for name, value in self._asdict().items() if name not in ("text", "row")}

    def to_json(self) -> dict[str, Any]:
        """Return the suggestion as one JSON-serialisable object."""
        return {"text": self.text, **self.columns()}


def suggest(
    run: str | Path | TrainedRun, texts: Sequence[str], n: int = N, *, verify: bool = True, progress: Progress = silent
) -> list[Suggestion]:
    """Suggest which of the unlabelled texts to label next.

    Texts are selected one by one, so that together they are similar to as much as possible of the texts of which the
    run is uncertain (weighted facility location on the means of their word vectors). The training texts of the run, if
    they are still at their path, represent texts already and are not suggested again.

    Args:
        run: the run folder, or a run that was loaded; its task is classification.
        texts: the unlabelled texts.
        n: number of texts to suggest.
        verify: check that the files of the run have the SHA-256 that ``manifest.json`` lists.
        progress: progress callback.

    Returns:
        The suggestions, the most useful first; fewer than ``n`` if there are fewer distinct texts without a label.

    Raises:
        ConfigError: if the run has another task.
        PipelineError, EmbeddingError, TransformerError: if the user has to correct something.
    """
    trained = run if isinstance(run, TrainedRun) else load_run(run, verify=verify)
    _require_classification(trained)
    given = checked_texts(texts, "texts")
    if not given:
        raise DataError("no text to suggest from; give at least one")
    return _suggest(trained, [trained.example(text) for text in given], n, progress)


def suggest_table(
    run: Path, where: Where, n: int = N, result: Path | None = None, *, overwrite: bool = False, verify: bool = True,
    progress: Progress = silent,
) -> list[Suggestion]:
    """Suggest texts of a file, and write them as a table if ``result`` is given.

    A table has all columns of the rows that are suggested, in the order of the suggestions.

    Args:
        run: the run folder.
        where: the file.
        n: number of texts to suggest.
        result: the file to write; its suffix decides the format.
        overwrite: replace an existing file.
        verify: as for :func:`suggest`, like the following.
        progress: progress callback.

    Raises:
        PipelineError, EmbeddingError, TransformerError: if the user has to correct something; nothing is then written.
    """
    where.check()
    if result is not None:
        check_result(result, where.file, overwrite=overwrite)
    trained = load_run(run, verify=verify)
    _require_classification(trained)
    inputs, grid = read_inputs(trained, where, whole=result is not None)
    found = _suggest(trained, [one.example for one in inputs], n, progress)
    if result is not None:
        names, rows = ["text"], [[one.text] for one in found]
        if grid is not None:
            filled = list(grid.filled)
            names = list(grid.names)
            rows = [[*grid.rows[filled[one.row]], *[EMPTY] * len(names)][: len(names)] for one in found]
        chosen = Grid(names, rows, range(len(rows)))
        added = add(chosen, [one.columns() for one in found])
        check_size(result, chosen, added.names)
        write_whole(result, content_of(result, None, chosen, added))
    return found


def _require_classification(trained: TrainedRun) -> None:
    if trained.config.task != TASK:
        raise ConfigError(f"texts can be suggested for runs of the task {TASK}, which have probabilities of labels; "
                          f"this is a run of the task {trained.config.task}")


def _suggest(trained: TrainedRun, examples: Sequence[Any], n: int, progress: Progress) -> list[Suggestion]:
    labelled = _labelled_texts(trained)
    texts = [joined(example) for example in examples]
    seen = {_key(text) for text in labelled}
    first = {_key(text): row for row, text in reversed(list(enumerate(texts)))}
    distinct = np.array(sorted(row for key, row in first.items() if key and key not in seen), dtype=np.int64)
    if not len(distinct):
        raise DataError("no text to suggest: all are empty or have a label already; give other texts")
    if known := len({_key(text) for text in texts} & seen):
        log.info("%d of the texts have a label in the training data and are left out", known)
    predictions = trained.predict_for([examples[row] for row in distinct], progress=progress, report=_ignored)
    uncertainty = np.array([_uncertainty(one["probabilities"]) for one in predictions], dtype=np.float32)
    candidates, pool = _bounded(uncertainty)
    progress("selecting", 0.0)
    vectors = MeanVectors(trained.table, trained.tokenizer, parse_policy(trained.config.unknown))
    of_pool, of_candidates, of_labelled = (vectors(part) for part in (
        [texts[distinct[i]] for i in pool], [texts[distinct[i]] for i in candidates], labelled))
    mean, scale = of_pool.mean(axis=0), of_pool.std(axis=0) + np.float32(1e-6)
    chosen = select(unit(of_candidates, mean, scale), unit(of_pool, mean, scale), uncertainty[pool], n,
                    unit(of_labelled, mean, scale) if labelled else None)
    progress("selecting", 1.0)
    rows = [int(candidates[one.row]) for one in chosen]
    unknown = _unknown_words(trained, [texts[distinct[i]] for i in rows])
    return [Suggestion(texts[distinct[i]], round(one.gain, 6), predictions[i]["label"], round(float(uncertainty[i]), 4),
                       one.represents, n_unknown, int(distinct[i]))
            for i, one, n_unknown in zip(rows, chosen, unknown, strict=True)]


def _labelled_texts(trained: TrainedRun) -> list[str]:
    """Return the training texts, of a large data set some of them, or none if they are not at their path any more."""
    try:
        examples, _ = training_examples(trained, None)
    except (PipelineError, OSError) as error:
        log.warning("texts that have a label already cannot be left out: %s", error)
        return []
    return [joined(example) for example in examples]


def _bounded(uncertainty: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the candidates and of the pool: all, or the most uncertain ones and a random sample."""
    everything = np.arange(len(uncertainty))
    if len(everything) <= MAX_TEXTS:
        return everything, everything
    candidates = np.sort(np.argsort(-uncertainty, kind="stable")[:MAX_TEXTS])
    return candidates, np.sort(np.random.default_rng(SEED).permutation(len(everything))[:MAX_TEXTS])


def _uncertainty(probabilities: dict[str, float]) -> float:
    *_, second, first = sorted([0.0, *probabilities.values()])
    return 1 - (first - second)


def _unknown_words(trained: TrainedRun, texts: Sequence[str]) -> list[int]:
    words = [trained.tokenizer.words(text) for text in texts]
    found = trained.table.lookup(dict.fromkeys(word for one in words for word in one), parse_policy(
        trained.config.unknown))
    known = {word for word, why in zip(found.words, found.provenance, strict=True) if why != MISSING}
    return [sum(word not in known for word in one) for one in words]


def _key(text: str) -> str:
    return " ".join(text.split())


def _ignored(_checks: Any) -> None:
    """Count no warnings: texts without a known word are not suggested before others."""
