"""Evaluation of a run of a benchmark, at its end and during its training."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.data.examples import Splits
from pipeline.runs.chain import tuned
from pipeline.runs.sampling_error import sampling_error
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Measures, Prediction, Task
from transformer.training.trainer import Watch

PROBE, TEST, ERROR = "probe_", "test_", "sampling_error_"
"""Prefixes in the history of a training: of measures on a sample of the test set; on the test set; their errors."""

History = Sequence[Mapping[str, float]]


def evaluate(trained: TrainedRun, examples: Sequence[Any], predictions: Sequence[Prediction]) -> Measures:
    """Compute the task's measures, including those it computes during training only (the loss of translation)."""
    task = trained.task
    measures = task.measure(examples, predictions, trained.setup)
    measures.pop("by_label", None)  # of thousands of labels, in every run, without use in a comparison
    if type(task).develop is Task.develop:
        return measures
    with trained.computing():
        return task.develop(trained.model, trained.prepare(examples), trained.setup) | measures


def watch_probe(examples: Sequence[Any], n: int, seed: int) -> Callable[[TrainedRun], Watch]:
    """Evaluate as on a dev set, after epochs 1, 2, 4, 8, … and the last one, for data without a dev set.

    Args:
        examples: the test set.
        n: number of examples to draw from it.
        seed: of the draw.

    Returns:
        The argument ``watch`` of :func:`pipeline.runs.chain.run_stage_two`; the history has the measures as
        ``probe_…``.
    """
    rows = np.random.default_rng(seed).permutation(len(examples))[:n]
    drawn = [examples[row] for row in np.sort(rows)]

    def of_run(trained: TrainedRun) -> Watch:
        prepared = trained.prepare(drawn)

        def watch(epoch: int, is_last: bool) -> Mapping[str, float]:
            if epoch & (epoch - 1) and not is_last:
                return {}
            with trained.computing():
                measures = trained.task.develop(trained.model, prepared, trained.setup)
            return _prefixed(PROBE, measures)

        return watch

    return of_run


class WatchTest:
    """Evaluates on the test set after some epochs, as at the end of a run: in float32, with the facts tuned on dev.

    It is the argument ``watch`` of :func:`pipeline.runs.chain.run_stage_two`; the history has the measures as
    ``test_…`` and their sampling errors as ``sampling_error_…``.

    Args:
        splits: the data.
        epochs: numbers of epochs.

    Attributes:
        seconds: time of these evaluations.
    """

    def __init__(self, splits: Splits[Any], epochs: Collection[int]) -> None:
        self.splits, self.epochs = splits, epochs
        self.seconds = 0.0

    def __call__(self, trained: TrainedRun) -> Watch:
        """Return the function that is called after each epoch."""
        def watch(epoch: int, _is_last: bool) -> Mapping[str, float]:
            if epoch not in self.epochs:
                return {}
            start = time.perf_counter()
            found = self._evaluate(trained)
            self.seconds += time.perf_counter() - start
            return found

        return watch

    def _evaluate(self, trained: TrainedRun) -> Mapping[str, float]:
        now = tuned(replace(trained, precision="float32"), self.splits.dev)
        predictions = now.predict_for(self.splits.test)
        errors = sampling_error(now.task, self.splits.test, predictions, now.setup)
        return _prefixed(TEST, evaluate(now, self.splits.test, predictions)) | _prefixed(ERROR, errors)


def after_epochs(history: History, seconds_before: float = 0.0) -> dict[str, dict[str, Any]]:
    """Return the results on the test set before the end of a training.

    Args:
        history: of the training.
        seconds_before: time before its first step, which training for fewer epochs takes as well.

    Returns:
        By number of epochs: measures ``test``, their ``sampling_error``, ``steps``, and ``seconds`` of training.
    """
    found = {}
    for line in history:
        errors = {name.removeprefix(ERROR): value for name, value in line.items() if name.startswith(ERROR)}
        test = {name.removeprefix(TEST): value for name, value in line.items() if name.startswith(TEST)}
        if test:
            found[str(int(line["epoch"]))] = {"test": test, "sampling_error": errors, "steps": line["step"],
                                              "seconds": seconds_before + line["seconds"]}
    return found


def curve(
    task: Task[Any], history: History, n_train: int, *, has_dev: bool, at_end: Measures
) -> tuple[dict[str, Any], list[float]]:
    """Return the learning curve (of the loss if the task computes its measure on the test set only) and its seconds.

    Args:
        task: the task.
        history: of the training.
        n_train: number of training examples.
        has_dev: whether the history has measures on dev; otherwise it has those on the test set, or on a sample of it.
        at_end: measures on the test set at the end, which a history with those of earlier epochs lacks.
    """
    on_test = bool(after_epochs(history))
    on = "dev" if has_dev else "test" if on_test else "probe"
    if on_test:
        history = [*history[:-1], {**history[-1], **_prefixed(TEST, at_end)}]
    measure = task.measure_name if any(f"{on}_{task.measure_name}" in line for line in history) else "loss"
    lines = [line for line in history if f"{on}_{measure}" in line]
    points = [{"epoch": line["epoch"], "step": line["step"], "examples": int(line["epoch"]) * n_train,
               "value": line[f"{on}_{measure}"]} for line in lines]
    return {"measure": measure, "on": on, "points": points}, [line["seconds"] for line in lines]


def _prefixed(prefix: str, measures: Mapping[str, Any]) -> dict[str, float]:
    return {f"{prefix}{name}": value for name, value in measures.items() if isinstance(value, int | float)}
