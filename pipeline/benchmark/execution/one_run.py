"""One run of a benchmark: train, evaluate, and return a record; its run folder is deleted."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from embeddings.progress import Progress, silent
from embeddings.table.atomic_files import FOREVER, locked
from embeddings.table.oov_policy import parse_policy
from pipeline.baselines.selection import evaluate_selected
from pipeline.benchmark.execution.jobs import Job, Outcome
from pipeline.config import RunConfig
from pipeline.data.examples import Splits
from pipeline.errors import RunFolderError
from pipeline.runs.chain import run_stage_one, run_stage_two
from pipeline.runs.context import RunContext
from pipeline.runs.data_hash import data_hash, part_sizes
from pipeline.runs.folder import RunFolder
from pipeline.runs.recipe.choose import setup_for
from pipeline.runs.sampling_error import sampling_error
from pipeline.runs.trained import TrainedRun
from pipeline.tasks import base
from pipeline.tasks.base import Measures, Prediction, Task
from pipeline.telemetry.resources import measured
from pipeline.word_vectors import StageOne, measure_texts
from transformer.errors import CheckpointError
from transformer.training.distributed import World
from transformer.training.trainer import choose_device

log = logging.getLogger("vecformer")

MAX_TEXT = 200  # characters of a text that are stored with its prediction


def run_job(job: Job, progress: Progress = silent) -> Outcome:
    """Execute a run, continuing from the checkpoint in its work folder if there is one.

    Raises:
        PipelineError, EmbeddingError, TransformerError: if the run fails for a reason that the user can correct.
    """
    import torch

    torch.set_num_threads(job.n_threads)
    job.work.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(job.work / job.key)
    with locked(folder.path, timeout=FOREVER):  # an orphaned worker may still hold it for a moment
        folder.path.mkdir(exist_ok=True)
        is_resumed = folder.stage_one.exists()
        try:
            outcome = _train_and_evaluate(job, folder, progress)
        except (RunFolderError, CheckpointError) as error:
            if not is_resumed:
                raise
            log.warning("%s: the interrupted run is discarded and begins again (%s)", job.name, error)
            shutil.rmtree(folder.path)
            folder.path.mkdir()
            outcome = _train_and_evaluate(job, folder, progress)
        shutil.rmtree(folder.path)
    return outcome


def _train_and_evaluate(job: Job, folder: RunFolder, progress: Progress) -> Outcome:
    task = base.find(job.config.task)
    config = job.config
    splits = task.reader.read(config.data, seed=config.seed)
    setup = setup_for(config, task, splits)
    context = RunContext(progress, world=World(device=choose_device(config.training.device)))
    config.save(folder.config)
    with measured() as vectors:
        stage_one = run_stage_one(setup, task, splits, folder, context, shared=job.work / "vectors")
    probe = () if splits.dev else _sample(splits.test, job.n_probe, config.seed)
    with measured() as training:
        trained, result, _ = run_stage_two(setup, task, splits, stage_one, folder, context, probe=probe)
    with measured() as prediction:
        predictions = trained.predict_for(splits.test, progress=progress)
    progress("measuring", 0.0)
    points, curve_seconds = _curve(task, result.history, len(splits.train), "dev" if splits.dev else "probe")
    record = {
        "config": asdict(trained.config),
        "data": {"name": splits.name, "sha256": data_hash(splits), "sizes": part_sizes(splits)},
        "versions": {package: version(package) for package in ("vecformer", "torch", "gensim", "numpy")},
        "test": _evaluate(trained, splits.test, predictions),
        "dev": _evaluate(trained, splits.dev, trained.predict_for(splits.dev)) if splits.dev else {},
        "sampling_error": sampling_error(task, splits.test, predictions, trained.setup),
        "baselines": evaluate_selected(task, splits, setup, stage_one)[0] if job.baselines else {},
        "coverage": _coverage(task, splits, stage_one, config),
        "table": {"n_words": len(stage_one.start), "dim": stage_one.table.dim,
                  "spread": float(stage_one.start.vectors.std(dtype=np.float64))},
        "training": {"steps": result.steps, "epochs": len(result.history), "best_epoch": result.best_epoch,
                     "tokens": result.tokens},
        "curve": points,
        "costs": {"vectors": asdict(vectors),
                  "training": {**asdict(training), "tokens_per_second": result.tokens / result.seconds},
                  "prediction": asdict(prediction), "curve_seconds": curve_seconds},
    }
    return Outcome(record, prediction_lines(task, splits.test, predictions))


def _sample(examples: Sequence[Any], n: int, seed: int) -> list[Any]:
    rows = np.random.default_rng(seed).permutation(len(examples))[:n]
    return [examples[row] for row in np.sort(rows)]


def _evaluate(trained: TrainedRun, examples: Sequence[Any], predictions: Sequence[Prediction]) -> Measures:
    """Compute the task's measures, including those it computes during training only (the loss of translation)."""
    task = trained.task
    measures = task.measure(examples, predictions, trained.setup)
    measures.pop("by_label", None)  # of thousands of labels, in every run, without use in a comparison
    if type(task).develop is Task.develop:
        return measures
    with trained.computing():
        return task.develop(trained.model, trained.prepare(examples), trained.setup) | measures


def _curve(
    task: Task[Any], history: Sequence[Mapping[str, float]], n_train: int, on: str
) -> tuple[dict[str, Any], list[float]]:
    """Return the learning curve (of the loss if the task computes its measure on the test set only) and its seconds."""
    measure = task.measure_name if any(f"{on}_{task.measure_name}" in line for line in history) else "loss"
    lines = [line for line in history if f"{on}_{measure}" in line]
    points = [{"epoch": line["epoch"], "step": line["step"], "examples": int(line["epoch"]) * n_train,
               "value": line[f"{on}_{measure}"]} for line in lines]
    return {"measure": measure, "on": on, "points": points}, [line["seconds"] for line in lines]


def _coverage(task: Task[Any], splits: Splits[Any], stage_one: StageOne, config: RunConfig) -> dict[str, float]:
    policy = parse_policy(config.unknown)
    train, test = (measure_texts(stage_one, task.reader.texts(part), policy) for part in (splits.train, splits.test))
    return {"types": train.types, "tokens": train.tokens, "test_types": test.types, "test_tokens": test.tokens}


def prediction_lines(
    task: Task[Any], examples: Sequence[Any], predictions: Sequence[Prediction]
) -> list[dict[str, Any]]:
    """Return the lines of the file with the predictions for the test set, one for each example."""
    return [{"where": example.where, "text": " / ".join(map(_joined, task.reader.texts([example])))[:MAX_TEXT],
             "gold": example.gold, "prediction": prediction, "outcome": task.outcome(example.gold, prediction)}
            for example, prediction in zip(examples, predictions, strict=True)]


def _joined(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else " ".join(text)
