"""The scores of a run, with which those of an exported model are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.data.features.batching import collate
from pipeline.exports.base import ExportOptions
from pipeline.measures.tagging import OUTSIDE
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Prepared
from pipeline.tasks.inference import outputs
from pipeline.tasks.ngrams.fusion import fusion_of
from pipeline.tasks.ngrams.scores import branch_of
from pipeline.tasks.tagging import spans_of
from pipeline.tasks.tags.scores import branch_scores, fused, transformer_scores


def without_ngrams(trained: TrainedRun, options: ExportOptions) -> bool:
    """Remove the n-gram branch of a run if the options ask for it; return whether it was removed."""
    removed = options.without_ngrams and branch_of(trained.model) is not None
    if removed:
        trained.model.ngrams = None  # type: ignore[assignment]
    return removed


def branch_shift(trained: TrainedRun) -> Tensor | None:
    """Return what is added to the scores of the tags, if anything: the negative penalty of ``O``."""
    resolved = trained.setup.resolved
    if trained.config.task != "tagging" or not resolved.outside_penalty:
        return None
    return torch.tensor([-resolved.outside_penalty * (label == OUTSIDE) for label in resolved.labels])


def run_scores(trained: TrainedRun, prepared: Prepared[Any]) -> Sequence[Any]:
    """Compute the scores of a run, its branch included; those of a regression in units of the data.

    Args:
        trained: a run that is neither a language model nor a translation.
        prepared: encoded examples.

    Returns:
        Scores of each window for questions, otherwise of each example.
    """
    model: Any = trained.model
    setup, task, features = trained.setup, trained.config.task, prepared.features
    if task == "tagging":
        words = [[span.word for span in spans_of(example, prepared.tokenizers.source)] for example in prepared.examples]
        made = fused(transformer_scores(model, prepared, setup), branch_scores(model, prepared, words),
                     setup.resolved.feature_weights)
        shift = branch_shift(trained)
        return [(of_text if shift is None else of_text + shift).numpy() for of_text in made]
    computed = outputs(model, features, collate, lambda batch: model(batch.ids, batch.token_types))
    raw = [of_text[: len(feature)] if of_text.dim() == 2 else of_text
           for feature, of_text in zip(features, computed, strict=True)]
    if task == "regression":
        return [of_text.double().numpy() * setup.resolved.std + setup.resolved.mean for of_text in raw]
    if task == "classification" and (fusion := fusion_of(model, prepared, setup)):
        return list(fusion(range(len(raw)), torch.stack(raw)).numpy())
    return [np.asarray(of_text) for of_text in raw]
