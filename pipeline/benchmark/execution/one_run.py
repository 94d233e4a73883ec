"""One run of a benchmark: train, evaluate, and return a record; its run folder is deleted."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from embeddings.progress import Progress, silent
from embeddings.table.atomic_files import FOREVER, locked
from embeddings.table.oov_policy import parse_policy
from pipeline.baselines.selection import evaluate_selected
from pipeline.benchmark.execution.evaluation import WatchTest, after_epochs, curve, evaluate, watch_probe
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
from pipeline.tasks import base
from pipeline.tasks.base import Prediction, Task
from pipeline.tasks.ngrams import fit as ngrams
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
    has_dev = bool(splits.dev) and job.selects_epoch
    on_test = WatchTest(splits, job.after_epochs)
    watch = (on_test if job.after_epochs else None if has_dev else watch_probe(splits.test, job.n_probe, config.seed))
    with measured() as training:
        trained, result, _ = run_stage_two(setup, task, splits, stage_one, folder, context, watch=watch,
                                           selects_epoch=job.selects_epoch)
    dev = evaluate(trained, splits.dev, trained.predict_for(splits.dev)) if splits.dev else {}
    ngrams.refit(trained.model, splits.train, splits.dev, trained.setup)
    with measured() as prediction:
        predictions = trained.predict_for(splits.test, progress=progress)
    progress("measuring", 0.0)
    test = evaluate(trained, splits.test, predictions)
    points, curve_seconds = curve(task, result.history, len(splits.train), at_end=test, has_dev=has_dev)
    record = {
        "config": asdict(trained.config),
        "data": {"name": splits.name, "sha256": data_hash(splits), "sizes": part_sizes(splits)},
        "versions": {package: version(package) for package in ("vecformer", "torch", "gensim", "numpy")},
        "test": test,
        "dev": dev,
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
    if job.after_epochs:
        before = max(0.0, training.seconds - on_test.seconds - result.seconds)  # such as pretraining
        record["after_epochs"] = after_epochs(result.history, before)
        record["costs"]["training"]["seconds"] = before + result.seconds  # without evaluations on the test set
    return Outcome(record, prediction_lines(task, splits.test, predictions))


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
