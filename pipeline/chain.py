"""The chain itself: text, vectors, Transformer, training, measures, report.

Called ``chain`` and not ``run``, so that ``from pipeline import run`` is the function whatever was imported before.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embeddings.progress import Progress, silent
from pipeline.config import RunConfig
from pipeline.data.batching import Batch, shuffled
from pipeline.data.datasets import Example, Splits
from pipeline.report.page import write_report
from pipeline.run_folder import RunFolder, check_free, new_folder, write_json, write_lines
from pipeline.stage_one import StageOne, prepare_vectors
from pipeline.tasks import registry
from pipeline.tasks.registry import Measures, Prediction, Task
from pipeline.trained_run import TrainedRun, build_model
from transformer.checkpoint import save_weights
from transformer.embedding import WordEmbedding
from transformer.training import Evaluation, Trainer, TrainingResult, choose_device

log = logging.getLogger("vecformer")

MAXRSS_A_MB = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes on macOS, KiB on Linux


@dataclass(frozen=True)
class Finished:
    """A run that has ended well.

    Attributes:
        path: its folder.
        metrics: what ``metrics.json`` holds.
    """

    path: Path
    metrics: Mapping[str, Any]


def run(config: RunConfig, out: str | Path, *, overwrite: bool = False, progress: Progress = silent) -> Finished:
    """Run both stages, measure, and write the run's folder.

    Args:
        config: what to do.
        out: the folder to make; it appears when the run is finished, whole, or not at all.
        overwrite: replace an earlier run of that name (when this one is finished).
        progress: told what is being done and the share of it that is done.

    Raises:
        PipelineError, EmbeddingError, TransformerError: for what the user can mend.
    """
    check_free(Path(out), overwrite=overwrite)
    task = registry.find(config.task)
    splits = task.read(config)
    config = task.resolve(config, splits)
    stage_one = run_stage_one(config, task, splits, progress)
    trained, training = run_stage_two(config, task, splits, stage_one, progress)

    predictions = trained.predict(task.texts(splits.test), progress=progress)
    test = task.measure(splits.test, predictions, config)
    dev = trained.evaluate(splits.dev, progress=progress) if splits.dev else {}
    progress("baselines", 0.0)
    baselines = task.baselines(splits, config, stage_one.table, stage_one.tokenizer)
    progress("baselines", 1.0)
    metrics = collect_metrics(config, stage_one, training, test, dev, baselines)

    with new_folder(Path(out), overwrite=overwrite) as temporary:
        write_run(RunFolder(temporary), trained, splits, training, predictions, metrics, name=Path(out).name)
    return Finished(Path(out), metrics)


def run_stage_one(config: RunConfig, task: Task, splits: Splits, progress: Progress) -> StageOne:
    """Text to word vectors."""
    return prepare_vectors(
        config,
        train=task.texts(splits.train),
        held_out=task.texts([*splits.dev, *splits.test]),
        test=task.texts(splits.test),
        unlabelled=splits.unlabelled,
        progress=progress,
    )


def run_stage_two(
    config: RunConfig, task: Task, splits: Splits, stage_one: StageOne, progress: Progress
) -> tuple[TrainedRun, TrainingResult]:
    """Word vectors to a trained Transformer."""
    if not splits.dev:
        log.info("no dev set: too few labelled examples to set any aside, so training runs through all %d epochs",
                 config.training.epochs)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        embedding = WordEmbedding.from_table(stage_one.start, d_model=config.model.d_model, config=config.embedding)
        model = build_model(config, task, embedding).to(choose_device(config.training.device))
        trained = TrainedRun(config, stage_one.tokenizer, stage_one.table, model)
        trainer = Trainer(
            model=model,
            batches=_Batches(task, splits.train, stage_one, config),
            loss=task.loss,
            evaluate=(lambda: _on_dev(trained, splits.dev)) if splits.dev else None,
            config=config.training,
            on_epoch=lambda line: log.info("%s", "  ".join(f"{key} {value:.4g}" for key, value in line.items())),
            progress=progress,
        )
        return trained, trainer.run()


class _Batches:
    """The training batches of each epoch, in an order that the seed decides."""

    def __init__(self, task: Task, examples: Sequence[Example], stage_one: StageOne, config: RunConfig) -> None:
        self.task, self.examples, self.config = task, examples, config
        self.ids = stage_one.tokenizer.encode(task.texts(examples), max_length=config.data.max_length)
        self.random = np.random.default_rng(config.seed)

    def __call__(self, _epoch: int) -> list[Batch]:
        chosen = shuffled([len(ids) for ids in self.ids], self.config.training.batch_size, self.random)
        return [
            self.task.batch([self.examples[i] for i in rows], [self.ids[i] for i in rows], self.config)
            for rows in chosen
        ]


def _on_dev(trained: TrainedRun, dev: Sequence[Example]) -> Evaluation:
    measures = trained.evaluate(dev)
    return Evaluation(measures, trained.task.score(measures))


def collect_metrics(
    config: RunConfig,
    stage_one: StageOne,
    training: TrainingResult,
    test: Measures,
    dev: Measures,
    baselines: Mapping[str, Measures],
) -> dict[str, Any]:
    """What ``metrics.json`` holds: the same keys for every task."""
    train_coverage, test_coverage = stage_one.coverage["train"], stage_one.coverage["test"]
    return {
        "task": config.task,
        "source": config.source,
        "transforms": list(stage_one.table.transforms),
        "seed": config.seed,
        "test": test,
        "dev": dev,
        "baselines": dict(baselines),
        "coverage": {
            "types": train_coverage.types,
            "tokens": train_coverage.tokens,
            "test_types": test_coverage.types,
            "test_tokens": test_coverage.tokens,
            "detail": {part: asdict(coverage) for part, coverage in stage_one.coverage.items()},
        },
        "training": {
            "seconds": training.seconds,
            "tokens": training.tokens,
            "tokens_per_second": training.tokens / training.seconds,
            "steps": training.steps,
            "epochs": len(training.history),
            "best_epoch": training.best_epoch,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MAXRSS_A_MB,
        },
    }


def write_run(
    folder: RunFolder,
    trained: TrainedRun,
    splits: Splits,
    training: TrainingResult,
    predictions: Sequence[Prediction],
    metrics: Mapping[str, Any],
    *,
    name: str,
) -> None:
    """Write every file of a run, the manifest last."""
    trained.config.save(folder.config)
    trained.tokenizer.save(folder.tokenizer)
    trained.table.save(folder.embeddings)
    save_weights(trained.model, folder.model)
    write_lines(folder.history, iter(training.history))
    write_lines(folder.predictions, ({"where": example.where, "gold": example.label, **prediction}
                                     for example, prediction in zip(splits.test, predictions, strict=True)))
    write_json(folder.metrics, metrics)
    plots = trained.task.plots(splits.test, predictions, trained.config)
    write_report(folder.report, trained.config, metrics, training.history, plots, name=name,
                 measure=trained.task.measure_name)
    for file in folder.path.iterdir():
        file.chmod(0o644)  # safetensors makes files that only their owner can read
    packages = ("vecformer", "torch", "gensim", "tokenizers", "scikit-learn", "numpy")
    folder.write_manifest({
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
        "seed": trained.config.seed,
        "data": {"name": splits.name, "sizes": _sizes(splits), "sha256": _data_hash(trained.config, splits)},
    })


def _sizes(splits: Splits) -> dict[str, int]:
    return {part: len(getattr(splits, part)) for part in ("train", "dev", "test", "unlabelled")}


def _data_hash(config: RunConfig, splits: Splits) -> str:
    """A hash of what was read: every text with its part and label."""
    digest = hashlib.sha256()
    for part in ("train", "dev", "test"):
        for example in getattr(splits, part):
            digest.update(f"{part}\0{example.label}\0{example.text}\0".encode())
    for text in splits.unlabelled:
        digest.update(f"unlabelled\0{text}\0".encode())
    return digest.hexdigest()
