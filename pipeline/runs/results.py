"""The results of a run: evaluation of the model and the baselines, and all files of the run folder."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from torch import Tensor

from embeddings.analysis.coverage import Coverage
from embeddings.table.oov_policy import parse_policy
from pipeline.baselines.selection import evaluate_selected
from pipeline.config import RunConfig
from pipeline.data.examples import Splits
from pipeline.runs.calibration import calibration_scores, save_scores
from pipeline.runs.card.write import write_card
from pipeline.runs.context import RunContext
from pipeline.runs.data_hash import data_hash, part_sizes
from pipeline.runs.folder import RUN_FILES, RunFolder, write_json, write_lines
from pipeline.runs.input_checks import InputCheck
from pipeline.runs.report import write_report
from pipeline.runs.sampling_error import sampling_error
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Measures, Prediction, PredictionSetTask
from pipeline.tasks.ngrams import fit as ngrams
from pipeline.telemetry.resources import peak_memory_mb
from pipeline.word_vectors import measure_texts
from transformer.checkpoint import save_tensors, save_weights
from transformer.training.process_memory import return_free_memory
from transformer.training.trainer import TrainingResult

FILE_MODE = 0o644


def evaluate_and_write(
    folder: RunFolder, trained: TrainedRun, training: TrainingResult, start: Mapping[str, Tensor], splits: Splits[Any],
    *, name: str, context: RunContext,
) -> None:
    """Evaluate a trained model and the baselines, and write all files of the run."""
    task, setup, progress, clock = trained.task, trained.setup, context.progress, context.clock
    with clock("evaluation"):
        checks: list[InputCheck] = []
        dev_predictions = trained.predict_for(splits.dev, progress=progress)
        dev = task.measure(splits.dev, dev_predictions, setup) if splits.dev else {}
        scores = calibration_scores(splits.dev, dev_predictions) if isinstance(task, PredictionSetTask) else ()
        del dev_predictions  # for many examples, the largest part of the memory
        ngrams.refit(trained.model, splits.train, splits.dev, setup, clock)
        predictions = trained.predict_for(splits.test, progress=progress, report=checks.extend)
        test = task.measure(splits.test, predictions, setup) if splits.test else {}
        error = sampling_error(task, splits.test, predictions, setup)
        policy = parse_policy(setup.config.unknown)
        coverage = {part: measure_texts(trained.stage_one, task.reader.texts(examples), policy)
                    for part, examples in (("train", splits.train), ("test", splits.test))}
    return_free_memory()
    progress("baselines", 0.0)
    with clock("baselines"):
        baselines, skipped = evaluate_selected(task, splits, setup, trained.stage_one) if splits.test else ({}, {})
    progress("baselines", 1.0)
    metrics = collect_metrics(trained, coverage, training, test, dev, baselines)
    with clock("writing"):
        write_json(folder.sampling_error, error)
        if scores:
            save_scores(folder.calibration, scores)
        save_tensors(start, folder.start)
        write_run(folder, trained, splits, training, predictions, metrics, name=name, skipped=skipped, error=error,
                  n_truncated=sum(check.truncated for check in checks))


def collect_metrics(
    trained: TrainedRun,
    coverage: Mapping[str, Coverage],
    training: TrainingResult,
    test: Measures,
    dev: Measures,
    baselines: Mapping[str, Measures],
) -> dict[str, Any]:
    """Return the contents of ``metrics.json``, which has the same keys for every task."""
    config = trained.config
    return {
        "task": config.task,
        "source": config.source,
        "transforms": list(trained.table.transforms),
        "seed": config.seed,
        "test": test,
        "dev": dev,
        "baselines": dict(baselines),
        "coverage": {
            "types": coverage["train"].types,
            "tokens": coverage["train"].tokens,
            "test_types": coverage["test"].types,
            "test_tokens": coverage["test"].tokens,
            "detail": {part: asdict(measured) for part, measured in coverage.items()},
        },
        "training": {
            "seconds": training.seconds,
            "tokens": training.tokens,
            "tokens_per_second": training.tokens / training.seconds,
            "steps": training.steps,
            "epochs": len(training.history),
            "best_epoch": training.best_epoch,
            "peak_memory_mb": peak_memory_mb(),
        },
    }


def write_run(
    folder: RunFolder,
    trained: TrainedRun,
    splits: Splits[Any],
    training: TrainingResult,
    predictions: Sequence[Prediction],
    metrics: Mapping[str, Any],
    *,
    name: str,
    skipped: Mapping[str, str],
    error: Mapping[str, float],
    n_truncated: int,
) -> None:
    """Write all files of a run, the manifest last.

    Args:
        folder: the run folder.
        trained: the trained model.
        splits: the data.
        training: costs and history of the training.
        predictions: one for each test example.
        metrics: contents of ``metrics.json``.
        name: name of the run.
        skipped: why baselines were skipped, by their names.
        error: standard errors of the test measures.
        n_truncated: number of test texts that are longer than the model reads.
    """
    task, setup = trained.task, trained.setup
    (setup.requested or setup.config).save(folder.config)
    setup.resolved.save(folder.resolved)
    save_weights(trained.model, folder.model)
    write_lines(folder.history, iter(training.history))
    write_lines(folder.predictions, ({"where": example.where, "gold": example.gold, **prediction}
                                     for example, prediction in zip(splits.test, predictions, strict=True)))
    write_json(folder.metrics, metrics)
    plots = task.plots(splits.test, predictions, setup) if splits.test else {}
    write_report(folder.report, setup, metrics, training.history, plots, name=name, measure=task.measures[0],
                 skipped=skipped)
    facts = facts_of_run(setup.config, splits)
    write_card(folder.card, trained, splits, metrics, facts, name=name, error=error, n_truncated=n_truncated)
    for file in folder.path.iterdir():
        if file.name in RUN_FILES and file.stat().st_mode & 0o777 != FILE_MODE:
            file.chmod(FILE_MODE)  # safetensors creates files with permissions for the owner only
    folder.write_manifest(facts)


def facts_of_run(config: RunConfig, splits: Splits[Any]) -> dict[str, Any]:
    """Return the versions of packages, the seed, and the name, sizes and hash of the data, for manifest and card."""
    packages = ("vecformer", "torch", "gensim", "tokenizers", "scikit-learn", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
        "seed": config.seed,
        "data": {"name": splits.name, "sizes": part_sizes(splits), "sha256": data_hash(splits)},
    }
