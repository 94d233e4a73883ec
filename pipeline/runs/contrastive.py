"""Contrastive training on pairs of labelled texts, before the output layer is trained.

With few labels a pretrained encoder learns more from pairs: texts of the same label are moved together, and others
apart (Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts", SetFit). Here all pairs of a batch are
compared, so that a batch costs one pass over its texts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.data.features.batching import Batch, Feature, collate
from pipeline.errors import ConfigError
from pipeline.runs.context import RunContext
from pipeline.tasks.resolved import Setup
from transformer.models.heads import direction
from transformer.models.models import TransformerModel
from transformer.training.trainer import Trainer

log = logging.getLogger("vecformer")


class TextVectors(nn.Module):
    """The vector of each text: the direction of the mean of the encoder's output.

    Args:
        encoder: the encoder, which is shared.
        width: width of its output.
    """

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder, self.width = encoder, width

    def forward(self, ids: Tensor, token_types: Tensor | None = None) -> Tensor:
        """Compute the vectors. *Shape:* ``(batch, length)``, int64, to ``(batch, width)``, float32."""
        return direction(self.encoder(ids, token_types, needs="features"), self.width)


def train_on_pairs(setup: Setup[Any], model: nn.Module, features: Sequence[Feature], context: RunContext) -> None:
    """Train the encoder of a model in place for ``contrastive.steps`` steps; nothing for 0.

    Args:
        setup: configuration of the run, and resolved facts.
        model: a model with an encoder and a head.
        features: features of the training examples, with the number of the label as target.
        context: progress and process group.

    Raises:
        ConfigError: if the task has no labels of single texts, or no label has two examples.
        DivergedError: if a loss is not finite.
    """
    config = setup.config.contrastive
    if not config.steps:
        return
    if not isinstance(model, TransformerModel) or any(np.ndim(feature.target) for feature in features):
        raise ConfigError(f"contrastive.steps={config.steps}: the task {setup.config.task!r} does not have one label "
                          "for each text; set contrastive.steps=0")
    labels = np.array([int(feature.target) for feature in features])
    if np.bincount(labels).max() < 2 or len(np.unique(labels)) < 2:
        raise ConfigError(f"contrastive.steps={config.steps}: pairs of texts with the same label and with different "
                          "ones are needed; label more texts, or set contrastive.steps=0")
    random = np.random.default_rng(setup.config.seed)
    batches = [collate([features[i] for i in _drawn(labels, config.batch_size, random)]) for _ in range(config.steps)]
    training = replace(setup.config.training, epochs=1, lr=config.lr, freeze_epochs=0, unfreeze_epochs=0, ema=0.0,
                       accumulate=1)
    result = Trainer(
        model=TextVectors(model.encoder, setup.model.d_model), batches=lambda _epoch: batches, loss=pair_loss,
        evaluate=None, config=training, world=context.world,
        progress=lambda _what, share: context.progress("contrastive training", share),
    ).run()
    log.info("contrastive training: %d steps, mean loss %.4f", result.steps, result.history[-1]["train_loss"])


def pair_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Compute the mean squared difference of cosine similarity and agreement of the labels. *Shape:* scalar.

    The similarity should be 1 for texts of the same label and 0 for others; each kind of pair has half of the weight.
    """
    vectors = model(batch.ids, batch.token_types)                                           # (B, width)
    similarity = vectors @ vectors.T                                                        # (B, B)
    same = batch.targets[:, None] == batch.targets[None, :]
    others = ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    together, apart = (1 - similarity)[same & others].square(), similarity[~same].square()
    loss: Tensor = (together.mean() + apart.mean()) / 2
    return loss


def _drawn(labels: np.ndarray[Any, Any], size: int, random: np.random.Generator) -> list[int]:
    """Draw texts of several labels, as evenly as they have texts, without repetition; one label has at least two."""
    names, counts = np.unique(labels, return_counts=True)
    several = random.choice(names[counts > 1], 1)
    others = random.permutation(names[names != several[0]])[: max(1, size // 2 - 1)]
    chosen = [*several, *others]
    each = max(2, size // len(chosen))
    rows = [random.permutation(np.flatnonzero(labels == name))[:each] for name in chosen]
    return [int(row) for of_label in rows for row in of_label]
