"""Masked-word training of a task's encoder on the task's own text, before the labels are looked at.

It is the largest known lever for small data (Amos et al. 2024, "Never Train from Scratch").
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from embeddings.progress import Progress
from embeddings.tokenization.tokenizer import Text
from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.runs.training_batches import TrainingBatches
from pipeline.tasks.base import Tokenizers
from pipeline.tasks.masked_language_model import MaskedWords
from pipeline.word_vectors import StageOne
from transformer.models.models import MaskedLanguageModel
from transformer.models.stack import Encoder
from transformer.training.distributed import World
from transformer.training.trainer import Trainer

log = logging.getLogger("vecformer")


def pretrain(
    config: RunConfig, model: nn.Module, stage_one: StageOne, texts: Sequence[Text], *, checkpoint: Path,
    world: World, progress: Progress,
) -> None:
    """Train a model's encoder, in place, to say the words behind masks; the layer that says them is thrown away.

    Args:
        config: of the run; ``pretraining`` and ``training`` are looked at.
        model: has an encoder.
        stage_one: the words.
        texts: the task's own, labelled or not.
        checkpoint: where to keep what is needed to go on after a stop.
        world: the processes that train together.
        progress: told the share that is done.

    Raises:
        ConfigError: if the model has no encoder.
        DivergedError: if a loss is not finite.
    """
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise ConfigError(f"pretraining.epochs: the task {config.task!r} has no encoder to pretrain; set it to 0")
    task = MaskedWords()
    masked = MaskedLanguageModel(encoder=encoder, config=config.model).to(world.device)
    features = task.encode_texts(texts, Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer)), config)
    training = replace(config.training, epochs=config.pretraining.epochs, lr=config.pretraining.lr, freeze_epochs=0)
    Trainer(
        model=masked,
        batches=TrainingBatches(task, features, replace(config, training=training), world),
        loss=task.loss,
        evaluate=None,
        config=training,
        checkpoint=checkpoint,
        world=world,
        on_epoch=lambda line: log.info("pretraining: epoch %(epoch)d, loss %(train_loss).4f", line),
        progress=lambda _what, share: progress("pretraining", share),
    ).run()
