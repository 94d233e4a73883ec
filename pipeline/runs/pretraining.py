"""Masked language modelling on the task's own text, before training on the labels.

For small data sets this is the largest known improvement (Amos et al. 2024, "Never Train from Scratch").
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from embeddings.table.arguments import setting
from embeddings.tokenization.interface import Text
from pipeline.errors import ConfigError
from pipeline.runs.context import RunContext
from pipeline.runs.training_batches import TrainingBatches
from pipeline.tasks.base import Tokenizers
from pipeline.tasks.masked_language_model import MaskedTokens
from pipeline.tasks.resolved import Setup
from pipeline.word_vectors import StageOne
from transformer.models.models import MaskedLanguageModel
from transformer.training.trainer import Trainer

log = logging.getLogger("vecformer")


def pretrain(
    setup: Setup[Any], model: nn.Module, stage_one: StageOne, texts: Sequence[Text], *, checkpoint: Path,
    context: RunContext,
) -> None:
    """Pretrain the encoder of a model in place; the output layer is discarded.

    Args:
        setup: configuration of the run, of which ``pretraining`` and ``training`` are used, and resolved facts.
        model: a model with an encoder.
        stage_one: the vocabulary.
        texts: texts of the task, labelled or not.
        checkpoint: file from which an interrupted run resumes.
        context: progress and process group.

    Raises:
        ConfigError: if the model has no encoder.
        DivergedError: if a loss is not finite.
    """
    encoder: Any = getattr(model, "encoder", None)
    config = setup.config
    if encoder is None:
        raise ConfigError(f"pretraining.epochs={config.pretraining.epochs}: the task {config.task!r} has no encoder to "
                          f"pretrain; use {setting('pretraining.epochs=0')}")
    task = MaskedTokens()
    masked = MaskedLanguageModel(encoder=encoder, config=setup.model).to(context.world.device)
    training = replace(config.training, epochs=config.pretraining.epochs, lr=config.pretraining.lr, freeze_epochs=0,
                       frozen_layers=0, unfreeze_epochs=0)
    own = replace(setup, config=replace(config, training=training))
    features = task.encode_texts(texts, Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer)), own)
    Trainer(
        model=masked,
        batches=TrainingBatches(task, features, own, context.world),
        loss=task.loss,
        evaluate=None,
        config=training,
        checkpoint=checkpoint,
        world=context.world,
        on_epoch=lambda line: log.info("pretraining: epoch %(epoch)d, loss %(train_loss).4f", line),
        progress=lambda _what, share: context.progress("pretraining", share),
    ).run()
