"""The chain itself: text, vectors, Transformer, training, measures, report.

Called ``chain`` and not ``run``, so that ``from pipeline import run`` is the function whatever was imported before.
"""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from embeddings.analysis.coverage import Coverage
from embeddings.progress import Progress, silent
from embeddings.table.oov_policy import parse_policy
from pipeline.config import RunConfig
from pipeline.data.examples import AnyExample, Splits
from pipeline.errors import RunFolderError
from pipeline.runs.folder import RunFolder, read_json, unfinished, unfinished_folder, write_json, write_lines
from pipeline.runs.pretraining import pretrain
from pipeline.runs.report import write_report
from pipeline.runs.sampling_error import sampling_error
from pipeline.runs.trained import TrainedRun, load_stage_one, save_stage_one
from pipeline.runs.training_batches import TrainingBatches
from pipeline.tasks import base
from pipeline.tasks.base import Measures, Prediction, Task, Tokenizers
from pipeline.telemetry.profiling import STOPPED, Clock
from pipeline.telemetry.resources import peak_memory_mb
from pipeline.word_vectors import StageOne, measure_texts, prepare_vectors
from transformer.checkpoint import save_tensors, save_weights
from transformer.kernels.engine import require
from transformer.layers.embedding import TokenEmbedding
from transformer.training import distributed
from transformer.training.distributed import World
from transformer.training.trainer import Evaluation, Trainer, TrainingResult, choose_device

log = logging.getLogger("vecformer")


@dataclass(frozen=True)
class Finished:
    """A run that has ended well.

    Attributes:
        path: its folder.
        metrics: what ``metrics.json`` holds.
    """

    path: Path
    metrics: Mapping[str, Any]


def run(
    config: RunConfig, out: str | Path, *, overwrite: bool = False, resume: bool = False, progress: Progress = silent,
    clock: Clock = STOPPED,
) -> Finished:
    """Run both stages, measure, and write the run's folder.

    A run that is stopped in stage two leaves ``OUT.unfinished``. Several processes started by torchrun share the
    training; the first of them does all else.

    Args:
        config: what to do.
        out: the folder to make; it appears when the run is finished, whole, or not at all.
        overwrite: replace an earlier run of that name (when this one is finished).
        resume: go on with a run of the same configuration that was stopped.
        progress: told what is being done and the share of it that is done.
        clock: told which part is under way, for a profile (:func:`pipeline.telemetry.profiling.take_profile`).

    Raises:
        PipelineError, EmbeddingError, TransformerError: for what the user can mend.
    """
    require(config.training.engine)
    world = distributed.world(choose_device(config.training.device))
    try:
        if world.rank:
            return _assist(config, Path(out), world)
        task = base.find(config.task)
        with unfinished_folder(Path(out), overwrite=overwrite, resume=resume) as path:
            folder = RunFolder(path)
            with clock("reading"):
                splits = task.read(config)
                config = task.resolve(config, splits)
            config.save(folder.config)
            stage_one = run_stage_one(config, task, splits, folder, progress, clock)
            world.barrier()
            made = run_stage_two(config, task, splits, stage_one, folder, world, progress, clock)
            metrics = measure_and_write(folder, *made, splits, name=Path(out).name, progress=progress, clock=clock)
        return Finished(Path(out), metrics)
    finally:
        world.close()


def _assist(config: RunConfig, out: Path, world: World) -> Finished:
    """What every process but the first does: its share of the training."""
    task = base.find(config.task)
    splits = task.read(config)
    config = task.resolve(config, splits)
    world.barrier()
    folder = RunFolder(unfinished(out))
    run_stage_two(config, task, splits, load_stage_one(folder), folder, world, silent)
    return Finished(out, {})


def run_stage_one(
    config: RunConfig, task: Task[Any], splits: Splits[Any], folder: RunFolder, progress: Progress,
    clock: Clock = STOPPED, *, shared: Path | None = None,
) -> StageOne:
    """Text to word vectors, kept in the folder; taken from there if they are there already.

    Args:
        config: the run's.
        task: its task.
        splits: its data.
        folder: where the vectors are kept.
        progress: told how far long work has come.
        clock: told which part is under way.
        shared: folder of word vectors that runs on the same text share, so that they are trained once.

    Raises:
        RunFolderError: if those were made of other data.
    """
    with clock("reading"):
        data = {"sha256": data_hash(splits)}
    if folder.stage_one.exists():
        if read_json(folder.stage_one) != data:
            raise RunFolderError(f"{config.data.path}: the data have changed since this run began; start over with "
                                 "--overwrite")
        with clock("vectors"):
            return load_stage_one(folder)
    held_out = [*splits.dev, *splits.test]
    with clock("vectors"):
        stage_one = prepare_vectors(config, train=task.texts(splits.train), held_out=task.texts(held_out),
                                    unlabelled=splits.unlabelled, progress=progress, shared=shared, clock=clock)
        if task.target_texts(splits.train):
            as_written = replace(config.data, lowercase=False, strip_accents=False, fold_digits=False)
            target = replace(config, source=config.target_source or config.source, data=as_written, corpus=())
            stage_one = replace(stage_one, target=prepare_vectors(
                target, train=task.target_texts(splits.train), held_out=task.target_texts(held_out), unlabelled=(),
                progress=progress, shared=shared, clock=clock))
    with clock("writing"):
        stage_one = save_stage_one(stage_one, folder)
        write_json(folder.stage_one, data)
    return stage_one


def run_stage_two(
    config: RunConfig, task: Task[Any], splits: Splits[Any], stage_one: StageOne, folder: RunFolder, world: World,
    progress: Progress, clock: Clock = STOPPED, *, probe: Sequence[Any] = (),
) -> tuple[TrainedRun, TrainingResult, dict[str, Tensor]]:
    """Word vectors to a trained Transformer.

    Args:
        config: the run's, resolved.
        task: its task.
        splits: its data.
        stage_one: its words and vectors.
        folder: where checkpoints are kept.
        world: the processes that train together.
        progress: told how far training has come.
        clock: told which part is under way.
        probe: examples that are measured on after epochs 1, 2, 4, 8, … and the last, where there is no dev set. They
            decide nothing: their measures are in the history, as ``probe_…``.

    Returns:
        It, what training it took, and its weights before the first step (but for the tables).
    """
    if not splits.dev:
        log.info("no dev set: too few labelled examples to set any aside, so training runs through all epochs")
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = build_model(config, task, stage_one).to(world.device)
        start = {name: weight.detach().clone() for name, weight in _but_tables(model)}
        texts = [*task.texts(splits.train), *splits.unlabelled]
        before, during = folder.checkpoints
        if config.pretraining.epochs:
            with clock("pretraining"):
                pretrain(config, model, stage_one, texts, checkpoint=before, world=world, progress=progress)
            torch.manual_seed(config.seed)  # whether pretraining was taken up again or ran through
        trained = TrainedRun(config, stage_one, model, config.training.precision)
        target = stage_one.target.tokenizer if stage_one.target else None
        tokenizers = Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer), target)
        with clock("tokenising"):
            features = task.encode_training(splits.train, tokenizers, config)
        with clock("evaluation"):
            evaluate = _measuring(trained, splits.dev) if splits.dev else None
        trainer = Trainer(
            model=model,
            batches=TrainingBatches(task, features, config, world),
            loss=clock.observe(task.loss),
            evaluate=evaluate,
            watch=_now_and_then(_measuring(trained, probe)) if probe else None,
            config=config.training,
            checkpoint=during,
            world=world,
            on_epoch=lambda line: log.info("%s", "  ".join(f"{key} {value:.4g}" for key, value in line.items())),
            progress=progress,
            clock=clock,
        )
        result = trainer.run()
        with clock("evaluation"):
            return tuned(replace(trained, precision="float32"), splits.dev), result, start


def tuned(trained: TrainedRun, dev: Sequence[Any]) -> TrainedRun:
    """The same model, with what its task decides on dev once it is trained."""
    if not dev:
        return trained
    with trained.computing():
        config = trained.task.tune(trained.model, trained.prepare(dev), trained.config)
    return replace(trained, config=config)


def build_model(config: RunConfig, task: Task[Any], stage_one: StageOne) -> nn.Module:
    """An untrained model around the vectors of stage one; sets torch's seed to the run's on the way."""
    embeddings = [
        TokenEmbedding.from_table(side.start, d_model=config.model.d_model, config=config.embedding)
        for side in stage_one.sides
    ]
    torch.manual_seed(config.seed)  # the same weights behind the table, whatever was drawn for the projection
    return task.model(config, embeddings)


def _but_tables(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    tables = {id(module.weight) for module in model.modules() if isinstance(module, TokenEmbedding)}
    return ((name, weight) for name, weight in model.named_parameters() if id(weight) not in tables)


def _measuring(trained: TrainedRun, examples: Sequence[Any]) -> Callable[[], Evaluation]:
    prepared = trained.prepare(examples)

    def evaluate() -> Evaluation:
        with trained.computing():
            measures = trained.task.develop(trained.model, prepared, trained.config)
        return Evaluation(measures, trained.task.score(measures))

    return evaluate


def _now_and_then(evaluate: Callable[[], Evaluation]) -> Callable[[int, bool], Mapping[str, float]]:
    """Measure after epochs 1, 2, 4, 8, … and the last."""
    def watch(epoch: int, is_last: bool) -> Mapping[str, float]:
        if epoch & (epoch - 1) and not is_last:
            return {}
        return {f"probe_{name}": value for name, value in evaluate().measures.items()}

    return watch


def measure_and_write(
    folder: RunFolder, trained: TrainedRun, training: TrainingResult, start: Mapping[str, Tensor], splits: Splits[Any],
    *, name: str, progress: Progress, clock: Clock = STOPPED,
) -> dict[str, Any]:
    """Measure a trained model on dev and test beside the baselines, and write every file of the run.

    Returns:
        What ``metrics.json`` holds.
    """
    task, config = trained.task, trained.config
    with clock("evaluation"):
        predictions = trained.predict_for(splits.test, progress=progress)
        test = task.measure(splits.test, predictions, config)
        dev = trained.evaluate(splits.dev, progress=progress) if splits.dev else {}
        error = sampling_error(task, splits.test, predictions, config)
        policy = parse_policy(config.unknown)
        coverage = {part: measure_texts(trained.stage_one, task.texts(examples), policy)
                    for part, examples in (("train", splits.train), ("test", splits.test))}
    progress("baselines", 0.0)
    with clock("baselines"):
        baselines = task.baselines(splits, config, trained.stage_one)
    progress("baselines", 1.0)
    metrics = collect_metrics(trained, coverage, training, test, dev, baselines)
    with clock("writing"):
        write_json(folder.sampling_error, error)
        save_tensors(start, folder.start)
        write_run(folder, trained, splits, training, predictions, metrics, name=name)
    return metrics


def collect_metrics(
    trained: TrainedRun,
    coverage: Mapping[str, Coverage],
    training: TrainingResult,
    test: Measures,
    dev: Measures,
    baselines: Mapping[str, Measures],
) -> dict[str, Any]:
    """What ``metrics.json`` holds: the same keys for every task."""
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
) -> None:
    """Write every file of a run, the manifest last."""
    trained.config.save(folder.config)
    save_weights(trained.model, folder.model)
    write_lines(folder.history, iter(training.history))
    write_lines(folder.predictions, ({"where": example.where, "gold": example.gold, **prediction}
                                     for example, prediction in zip(splits.test, predictions, strict=True)))
    write_json(folder.metrics, metrics)
    task = trained.task
    plots = task.plots(splits.test, predictions, trained.config)
    write_report(folder.report, trained.config, metrics, training.history, plots, name=name, measure=task.measure_name,
                 is_share=task.measure_is_share, smaller_is_better=task.smaller_is_better)
    for scratch in (*folder.checkpoints, folder.stage_one):
        scratch.unlink(missing_ok=True)
    for file in folder.path.iterdir():
        file.chmod(0o644)  # safetensors makes files that only their owner can read
    packages = ("vecformer", "torch", "gensim", "tokenizers", "scikit-learn", "numpy")
    folder.write_manifest({
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
        "seed": trained.config.seed,
        "data": {"name": splits.name, "sizes": part_sizes(splits), "sha256": data_hash(splits)},
    })


def part_sizes(splits: Splits[Any]) -> dict[str, int]:
    """How many examples each part has, and how many unlabelled texts."""
    return {part: len(getattr(splits, part)) for part in ("train", "dev", "test", "unlabelled")}


def data_hash(splits: Splits[Any]) -> str:
    """A hash of what was read: every example with its part, wherever it stands; every unlabelled text."""
    digest = hashlib.sha256()
    for part in ("train", "dev", "test"):
        for example in getattr(splits, part):
            digest.update(f"{part}\0{_content(example)}\0".encode(errors="backslashreplace"))
    for text in splits.unlabelled:
        digest.update(f"unlabelled\0{text}\0".encode(errors="backslashreplace"))
    return digest.hexdigest()


def _content(example: AnyExample) -> list[Any]:
    return [value for name, value in vars(example).items() if name != "where"]
