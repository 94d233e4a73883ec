"""The whole chain: text, vectors, Transformer, training, evaluation, report.

The module is not called ``run``, so that ``from pipeline import run`` is always the function.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from embeddings.progress import Progress
from embeddings.specification import sources
from embeddings.specification.transforms import parse_transform
from embeddings.table.arguments import either, flag
from embeddings.table.oov_policy import parse_policy
from embeddings.table.paths import from_written
from pipeline.baselines.selection import check_selection
from pipeline.config import AUTO_SOURCE, RunConfig, changed_keys
from pipeline.data.config import DataConfig
from pipeline.data.examples import Splits
from pipeline.drawing.summaries import run_html
from pipeline.errors import ConfigError, RunFolderError
from pipeline.runs.budget import budget_seconds, fit_epochs
from pipeline.runs.context import RunContext
from pipeline.runs.contrastive import train_on_pairs
from pipeline.runs.data_hash import data_hash
from pipeline.runs.folder import RunFolder, read_json, resume_command, unfinished
from pipeline.runs.output_layer import fit_output_layer
from pipeline.runs.place import require_inputs_elsewhere
from pipeline.runs.pretraining import pretrain
from pipeline.runs.recipe.choose import Recipe, setup_for
from pipeline.runs.results import evaluate_and_write
from pipeline.runs.self_training.labelling import self_train
from pipeline.runs.self_training.views import Views, views_of_encoder, views_of_words
from pipeline.runs.space import require_space_for_run, require_space_for_training
from pipeline.runs.start.point import is_pretrained, start_from
from pipeline.runs.tokenizer import keys_without_effect, tokenizer_location
from pipeline.runs.trained import TrainedRun, embedding_layers, load_stage_one, save_stage_one
from pipeline.runs.training_batches import TrainingBatches
from pipeline.runs.verification import mark_stage_one, verify_stage_one
from pipeline.runs.workspace import unfinished_folder
from pipeline.tasks import base
from pipeline.tasks.base import Task, Tokenizers
from pipeline.tasks.ngrams import fit as ngrams
from pipeline.tasks.resolved import ChosenPart, Setup
from pipeline.tasks.tags import branch as word_features
from pipeline.telemetry.profiling import STOPPED, Clock
from pipeline.telemetry.progress import given_or_notebook
from pipeline.word_vectors import StageOne, prepare_vectors
from transformer.errors import TransformerError
from transformer.kernels.engine import require
from transformer.kernels.precision import training_precision
from transformer.layers.embedding import TokenEmbedding
from transformer.training import distributed
from transformer.training.process_memory import return_free_memory
from transformer.training.trainer import Evaluation, Trainer, TrainingResult, Watch, choose_device

log = logging.getLogger("vecformer")


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        path: its folder.
        metrics: contents of ``metrics.json``.
    """

    path: Path
    metrics: Mapping[str, Any] = field(repr=False)

    def _repr_html_(self) -> str:
        return run_html(self.path.name, self.metrics)


def run(
    config: RunConfig, out: str | Path, *, splits: Splits[Any] | None = None, overwrite: bool = False,
    resume: bool = False, keep_unfinished: bool = True, progress: Progress | None = None, clock: Clock = STOPPED,
) -> Finished:
    """Run both stages, evaluate, and write the run folder.

    A run that ends with any error after stage one leaves ``OUT.unfinished``, which can be resumed. Several processes
    started by torchrun share the training; the first one does everything else.

    Args:
        config: the configuration.
        out: the folder to create; it appears complete when the run is finished.
        splits: examples in memory, which are used instead of ``config.data.path``. Without test examples, nothing is
            evaluated: ``test`` and ``baselines`` of ``metrics.json`` are empty.
        overwrite: replace an existing run of that name when this one is finished.
        resume: resume an interrupted run of the same configuration.
        keep_unfinished: keep ``OUT.unfinished`` after an error.
        progress: progress callback; by default bars in a notebook, and nothing elsewhere.
        clock: measures the time of each part (:func:`pipeline.telemetry.profiling.take_profile`).

    Raises:
        PipelineError, EmbeddingError, TransformerError: if the user has to correct something.
    """
    with given_or_notebook(progress) as callback:
        require_engine(config)
        world = distributed.world(choose_device(config.training.device))
        try:
            context = RunContext(callback, clock, world)
            return _run(config, Path(out), splits, context, overwrite=overwrite, resume=resume, keep=keep_unfinished)
        finally:
            world.close()


def _run(
    config: RunConfig, out: Path, splits: Splits[Any] | None, context: RunContext, *, overwrite: bool, resume: bool,
    keep: bool,
) -> Finished:
    if context.world.rank:
        return _assist(config, out, context, splits)
    task = base.find(config.task)
    check_selection(config, task.baseline_names)
    _check_specifications(config)
    budget_seconds(config)
    Recipe.parse(config.recipe)
    _warn_of_foreign_keys(config)
    if overwrite:
        inputs = (config.data.path, *config.corpus, config.init_from, tokenizer_location(config.data))
        require_inputs_elsewhere(out, map(from_written, filter(None, inputs)))
    with unfinished_folder(
        out, overwrite=overwrite, resume=resume, command=resume_command(out),
        keep=lambda folder: keep and RunFolder(folder).has_vectors,
    ) as path:
        folder = RunFolder(path)
        if not folder.manifest.is_file():  # otherwise it was interrupted just before it was renamed
            _fill(folder, config, task, context, splits, name=out.name)
        folder.remove_scratch()
        metrics = read_json(folder.metrics)
    return Finished(out, metrics)


def _fill(
    folder: RunFolder, config: RunConfig, task: Task[Any], context: RunContext, given: Splits[Any] | None, *, name: str
) -> None:
    """Run both stages and write all files of the run, continuing from those that exist."""
    require_space_for_run(folder.path, config)
    with context.clock("reading"):
        splits = given or task.reader.read(config.data, seed=config.seed)
        splits.findings.log()
        setup = setup_for(config, task, splits, earlier=parts_of_unfinished(folder, task))
    _warn_of_other_units(setup.config.data, changed_keys(config))
    config.save(folder.config)
    setup.resolved.save(folder.resolved)
    stage_one = run_stage_one(setup, task, splits, folder, context)
    context.world.barrier()
    made = run_stage_two(setup, task, splits, stage_one, folder, context)
    evaluate_and_write(folder, *made, splits, name=name, context=context)


def _check_specifications(config: RunConfig) -> None:
    """Check sources, transforms and the policy of unknown words before the data are read."""
    for source in {config.source, config.target_source} - {"", AUTO_SOURCE}:
        sources.parse(source)
    for transform in config.transforms:
        parse_transform(transform)
    parse_policy(config.unknown)


def parts_of_unfinished(folder: RunFolder, task: Task[Any]) -> Mapping[str, ChosenPart] | None:
    """Return the parts of the recipe that an interrupted run chose; None for a new run.

    They are not chosen again: a package of word vectors may have been installed in the meantime.
    """
    return task.resolved_type.load(folder.resolved).parts if folder.resolved.exists() else None


def require_engine(config: RunConfig) -> None:
    """Check ``training.engine``.

    Raises:
        ConfigError: if there is no such engine, or it cannot train.
    """
    try:
        require(config.training.engine)
    except TransformerError as error:
        raise ConfigError(str(error)) from error
    if config.training.engine == "int8":
        way = either("predict --precision int8", 'load_run(..., precision="int8")')
        raise ConfigError(f"training.engine=int8: int8 is for predictions only ({way}). Set training.engine=auto")


def _assist(config: RunConfig, out: Path, context: RunContext, given: Splits[Any] | None) -> Finished:
    """Do the share of the training of a process other than the first."""
    task = base.find(config.task)
    splits = given or task.reader.read(config.data, seed=config.seed)
    context.world.barrier()
    folder = RunFolder(unfinished(Path(os.path.realpath(out))))
    setup = setup_for(config, task, splits, earlier=parts_of_unfinished(folder, task))
    run_stage_two(setup, task, splits, load_stage_one(folder), folder, RunContext(world=context.world))
    return Finished(out, {})


def _warn_of_foreign_keys(config: RunConfig) -> None:
    foreign = base.foreign_keys(config.task)
    for key in changed_keys(config):
        if key in foreign:
            log.warning("%s has no effect: the task %s does not read it (%s does)", key, config.task,
                        ", ".join(foreign[key]))


def _warn_of_other_units(data: DataConfig, given: Iterable[str]) -> None:
    """Warn of keys that have no effect with the units in ``data``, which the start from a checkpoint may choose."""
    if unread := keys_without_effect(data, given):
        subwords = f"subwords data.tokenizer={data.tokenizer}"
        log.warning("%s: no effect with data.units=%s", ", ".join(unread),
                    subwords if data.units == "subwords" else "words")


def run_stage_one(
    setup: Setup[Any], task: Task[Any], splits: Splits[Any], folder: RunFolder, context: RunContext, *,
    shared: Path | None = None,
) -> StageOne:
    """Make the vocabulary and word vectors and write them to the folder, or load them if they exist there.

    Args:
        setup: configuration and resolved facts.
        task: the task.
        splits: the data.
        folder: the run folder.
        context: progress and clock.
        shared: folder of trained word vectors that runs on the same text share.

    Raises:
        RunFolderError: if existing vectors were made from other data.
    """
    config, clock, reader = setup.config, context.clock, task.reader
    with clock("reading"):
        data = data_hash(splits)
    if folder.stage_one.exists():
        if verify_stage_one(folder, config=False) != data:
            raise RunFolderError(f"{config.data.path or folder.path}: the data have changed since this run was "
                                 f"started; start again with {flag('overwrite')}")
        with clock("vectors"):
            return load_stage_one(folder)
    held_out = [*splits.dev, *splits.test]
    with clock("vectors"):
        stage_one = prepare_vectors(config, train=reader.texts(splits.train), held_out=reader.texts(held_out),
                                    unlabelled=splits.unlabelled, context=context, shared=shared)
        if reader.target_texts(splits.train):
            unfolded = replace(config.data, lowercase=False, strip_accents=False, fold_digits=False)
            target = replace(config, source=config.target_source or config.source, data=unfolded, corpus=())
            stage_one = replace(stage_one, target=prepare_vectors(
                target, train=reader.target_texts(splits.train), held_out=reader.target_texts(held_out), unlabelled=(),
                context=context, shared=shared))
    with clock("writing"):
        stage_one = save_stage_one(stage_one, folder)
        mark_stage_one(folder, data)
    return stage_one


def run_stage_two(
    setup: Setup[Any], task: Task[Any], splits: Splits[Any], stage_one: StageOne, folder: RunFolder,
    context: RunContext, *, watch: Callable[[TrainedRun], Watch] | None = None, selects_epoch: bool = True,
) -> tuple[TrainedRun, TrainingResult, dict[str, Tensor]]:
    """Train a Transformer that starts from the word vectors.

    Args:
        setup: configuration and resolved facts.
        task: the task.
        splits: the data.
        stage_one: vocabulary and vectors.
        folder: folder of the checkpoints.
        context: progress, clock and process group.
        watch: given the run in training, returns :attr:`Trainer.watch`.
        selects_epoch: stop training by the dev set and keep the weights of the best epoch, instead of the last one.

    Returns:
        The trained run, the costs of training, and the initial weights (without the embedding tables).
    """
    config, world, clock = setup.config, context.world, context.clock
    setup, splits = self_train(setup, task, splits, _views(setup, task, stage_one, world.device), context)
    setup = (branch := ngrams.plan(setup, task, splits.train, clock)).setup
    if not splits.dev:
        log.info("no dev set (too few labelled examples to set some aside): training runs for all epochs")
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = _started_model(setup, task, stage_one).to(world.device)
        require_space_for_training(folder.path, model)
        start = {name: weight.detach().clone() for name, weight in _without_tables(model)}
        texts = [*task.reader.texts(splits.train), *splits.unlabelled]
        before, during = folder.checkpoints
        if not world.rank:
            branch.into(model, checkpoint=during)
            word_features.fit_into(model, splits.train, setup, checkpoint=during, clock=clock)
        if config.pretraining.epochs:
            with clock("pretraining"):
                pretrain(setup, model, stage_one, texts, checkpoint=before, context=context)
            torch.manual_seed(config.seed)  # the same state whether pretraining was resumed or not
        trained = TrainedRun(setup, stage_one, model, training_precision(model, config.training.precision))
        with clock("tokenising"):
            features = task.encode(splits.train, _tokenizers(stage_one), setup, training=True)
        with clock("evaluation"):
            evaluate = _evaluation_on(trained, splits.dev) if splits.dev and selects_epoch else None
        if not during.exists():
            train_on_pairs(setup, model, features, context)
            fit_output_layer(setup, model, features)
        batches = TrainingBatches(task, features, setup, world)
        setup = fit_epochs(setup, task, model, batches, folder, context)
        trained = replace(trained, setup=setup)
        trainer = Trainer(
            model=model,
            batches=batches,
            loss=clock.observe(task.loss),
            evaluate=evaluate,
            watch=watch(trained) if watch else None,
            config=setup.config.training,
            checkpoint=during,
            world=world,
            on_epoch=lambda line: log.info("%s", "  ".join(f"{key} {value:.4g}" for key, value in line.items())),
            progress=context.progress,
            clock=clock,
        )
        result = trainer.run()
        with clock("evaluation"):
            return tuned(replace(trained, precision="float32"), splits.dev), result, start


def tuned(trained: TrainedRun, dev: Sequence[Any]) -> TrainedRun:
    """Return the run with the facts that its task finds on dev after training."""
    if not dev:
        return trained
    with trained.computing():
        resolved = trained.task.tune(trained.model, trained.prepare(dev), trained.setup)
    return replace(trained, setup=replace(trained.setup, resolved=resolved))


def build_model(setup: Setup[Any], task: Task[Any], stage_one: StageOne) -> nn.Module:
    """Build an untrained model with the vectors of stage one; sets torch's seed to that of the run."""
    config = setup.config
    embeddings = [
        TokenEmbedding.from_table(side.start, d_model=config.model.embedding_width, config=config.embedding)
        for side in stage_one.sides
    ]
    torch.manual_seed(config.seed)  # the same weights whether or not a projection was drawn
    return task.model(setup, embeddings)


def _started_model(setup: Setup[Any], task: Task[Any], stage_one: StageOne) -> nn.Module:
    """Build a model with the weights of ``init_from``, if any."""
    return_free_memory()
    model = build_model(setup, task, stage_one)
    start_from(model, stage_one, setup.config)
    return model


def _tokenizers(stage_one: StageOne) -> Tokenizers:
    target = stage_one.target.tokenizer if stage_one.target else None
    return Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer), target)


def _views(setup: Setup[Any], task: Task[Any], stage_one: StageOne, device: torch.device) -> Views:
    """Return what the teacher of self-training sees of the texts."""
    if is_pretrained(setup.config):
        return views_of_encoder(setup, task, lambda: _started_model(setup, task, stage_one).to(device),
                                _tokenizers(stage_one))
    return views_of_words(setup, stage_one)


def _without_tables(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    tables = {id(layer.weight) for layer in embedding_layers(model).values()}
    return ((name, weight) for name, weight in model.named_parameters() if id(weight) not in tables)


def _evaluation_on(trained: TrainedRun, examples: Sequence[Any]) -> Callable[[], Evaluation]:
    prepared = trained.prepare(examples)

    def evaluate() -> Evaluation:
        with trained.computing():
            measures = trained.task.develop(trained.model, prepared, trained.setup)
        return Evaluation(measures, trained.task.score(measures))

    return evaluate
