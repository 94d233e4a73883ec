"""Abstention: prediction sets at a stated error rate, from the scores that a run saved of its dev set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embeddings.table.arguments import argument, setting
from pipeline.errors import ConfigError, RunFolderError
from pipeline.measures.conformal import conformal_quantile, nonconformity, prediction_set, set_measures, smallest_rate
from pipeline.runs.folder import read_json, write_json
from pipeline.tasks.base import TASKS, Measures, Prediction, PredictionSetTask, Task

SCORES = "nonconformity_scores"


def calibration_scores(examples: Sequence[Any], predictions: Sequence[Prediction]) -> tuple[float, ...]:
    """Return the nonconformity score of the gold label of each example, in ascending order."""
    return tuple(sorted(nonconformity(prediction["probabilities"][example.gold])
                        for example, prediction in zip(examples, predictions, strict=True)))


def save_scores(path: Path, scores: Sequence[float]) -> None:
    """Write scores as JSON."""
    write_json(path, {SCORES: list(scores)})


def load_scores(path: Path) -> tuple[float, ...]:
    """Read scores; () if the run has none.

    Raises:
        RunFolderError: if the file is damaged.
    """
    if not path.exists():
        return ()
    try:
        return tuple(float(score) for score in read_json(path)[SCORES])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunFolderError(f"{path}: damaged ({error}); repeat the run") from error


def quantile_for(task: Task[Any], scores: Sequence[float], rate: float) -> float:
    """Return the greatest score of a label in a prediction set with an error rate.

    Args:
        task: the task of the run.
        scores: scores of its dev set.
        rate: error rate, between 0 and 1.

    Raises:
        ConfigError: if the task or the run cannot form prediction sets, or the rate is not between 0 and 1 or too small
            for the number of scores.
    """
    if not isinstance(task, PredictionSetTask):
        able = [name for name, cls in TASKS.available.items() if issubclass(cls, PredictionSetTask)]
        raise ConfigError(f"{argument('abstain')}: the task {task.name} has no prediction sets (only "
                          f"{', '.join(able)} has)")
    if not 0 < rate < 1:
        raise ConfigError(f"{argument('abstain', f'{rate:g}')}: the error rate must be between 0 and 1, such as 0.05")
    if not scores:
        raise ConfigError(f"{argument('abstain')}: this run has no scores of a dev set to calibrate with "
                          "(calibration.json); train again with a dev file, or with enough examples for a dev set of "
                          f"50 ({setting('data.dev_share=0.2')})")
    if rate < smallest_rate(len(scores)):
        raise ConfigError(f"{argument('abstain', f'{rate:g}')}: the {len(scores):,} dev examples of this run cannot "
                          f"guarantee a rate below {smallest_rate(len(scores)):.2g}; choose a higher rate, or train "
                          "again with a larger dev set")
    return conformal_quantile(scores, rate)


def with_sets(predictions: Sequence[Prediction], quantile: float) -> list[Prediction]:
    """Add to each prediction its ``set`` of labels and ``abstained``, whether this is not exactly one label."""
    sets = [prediction_set(prediction["probabilities"], quantile) for prediction in predictions]
    return [{**prediction, "set": labels, "abstained": len(labels) != 1}
            for prediction, labels in zip(predictions, sets, strict=True)]


def measure_sets(examples: Sequence[Any], predictions: Sequence[Prediction]) -> Measures:
    """Evaluate predictions with sets; see :func:`pipeline.measures.conformal.set_measures`."""
    return set_measures([example.gold for example in examples], [prediction["set"] for prediction in predictions])
