"""One rival of a benchmark: train it on the data of a run, evaluate it on the same test set, and return a record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from embeddings.progress import Progress, silent
from pipeline.baselines.selection import TooLargeError
from pipeline.benchmark.execution.jobs import Job, Outcome
from pipeline.benchmark.execution.one_run import prediction_lines
from pipeline.benchmark.rivals.base import INSTALL, Training, find, identity, missing_packages
from pipeline.errors import PipelineError
from pipeline.measures.classification import label_measures
from pipeline.runs.data_hash import data_hash, part_sizes
from pipeline.runs.sampling_error import jackknife_errors
from pipeline.tasks import base
from pipeline.tasks.text_input import joined
from pipeline.telemetry.resources import measured


def run_rival(job: Job, progress: Progress = silent) -> Outcome:
    """Train a rival and predict the labels of the test set.

    Raises:
        PipelineError: if a package is missing, or the data are too large for the rival.
    """
    chosen = find(job.rival)
    if missing := missing_packages(chosen):
        raise PipelineError(f"the rival {job.rival} needs {', '.join(missing)}: {INSTALL}")
    task = base.find(job.config.task)
    splits = task.reader.read(job.config.data, seed=job.config.seed)
    gold = [example.label for example in splits.test]
    training = Training([joined(one) for one in splits.train], [one.label for one in splits.train], job.config.seed,
                        job.n_threads, job.config.baseline_memory_gb)
    progress("training", 0.0)
    try:
        with measured() as fitted:
            predict = chosen.fit(training)
    except TooLargeError as error:
        raise PipelineError(f"the rival {job.rival} needs about {error.needed / 1e9:,.1f} GB of memory "
                            f"({error.sizes})") from error
    progress("predicting", 0.0)
    with measured() as prediction:
        predicted = predict([joined(one) for one in splits.test])
    record: dict[str, Any] = {
        "config": {}, "rival": identity(chosen),
        "data": {"name": splits.name, "sha256": data_hash(splits), "sizes": part_sizes(splits)},
        "test": label_measures(gold, predicted), "dev": {}, "baselines": {}, "coverage": {}, "training": {},
        "sampling_error": jackknife_errors(len(gold), lambda rows: label_measures(
            [gold[i] for i in rows], [predicted[i] for i in rows])),
        "curve": {"measure": "", "on": "", "points": []},
        "costs": {"vectors": {"seconds": 0.0, "peak_memory_mb": 0.0}, "training": asdict(fitted),
                  "prediction": asdict(prediction), "curve_seconds": []},
    }
    return Outcome(record, prediction_lines(task, splits.test, [{"label": label} for label in predicted]))
