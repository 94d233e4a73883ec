"""The branch of a tagging model for features of words: its size, its fit, and its log-probabilities."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embeddings.table.arguments import setting
from pipeline.baselines.linear import COPIES, FLOAT64, fitted, fitting
from pipeline.baselines.selection import GB
from pipeline.config import RunConfig
from pipeline.data.examples import TaggedExample
from pipeline.tasks.resolved import Setup
from pipeline.tasks.tags.features import hashed_features
from pipeline.telemetry.profiling import STOPPED, Clock
from transformer.models.feature_branch import FeatureBranch

log = logging.getLogger("vecformer")

SMALLEST, LARGEST = 2**14, 2**20  # buckets that are chosen
MAX_WEIGHTS = 2**22               # buckets x tags that are chosen
PER_WORD = 4                      # buckets for each word of the training text, at least
N_AT_ONCE = 512                   # sentences whose features are computed at once
ABSENT = -20.0                    # logit of a tag without training examples
MIN_COUNT = 2                     # features of a bucket in the training text, for a weight other than 0


def choose_buckets(config: RunConfig, n_words: int, n_tags: int) -> int:
    """Return the number of buckets of the branch; 0 for none.

    A branch that would need more memory than ``baseline_memory_gb`` is left out with a warning.

    Args:
        config: the configuration.
        n_words: number of words of the training text.
        n_tags: number of tags.
    """
    if not config.tagging.features:
        return 0
    wanted = 1 << max(PER_WORD * n_words - 1, 1).bit_length()
    fitting_in = 1 << max(MAX_WEIGHTS // n_tags, 1).bit_length() - 1
    buckets = config.tagging.buckets or max(SMALLEST, min(wanted, LARGEST, fitting_in))
    needed = FLOAT64 * n_tags * (COPIES * buckets + 3 * n_words) / GB
    if needed <= config.baseline_memory_gb:
        return buckets
    log.warning("the features of words (tagging.features) are left out: they need about %.1f GB of memory (%s tags, %s "
                "buckets, %s words); the limit is %g GB. Raise it with %s", needed, f"{n_tags:,}", f"{buckets:,}",
                f"{n_words:,}", config.baseline_memory_gb, setting(f"baseline_memory_gb={needed + 1:.0f}"))
    return 0


def with_branch(model: nn.Module, setup: Setup[Any]) -> nn.Module:
    """Add an empty branch, ``model.features``, to a model if the run has one."""
    if setup.resolved.feature_buckets:
        model.features = FeatureBranch(n_buckets=setup.resolved.feature_buckets, n_classes=len(setup.resolved.labels))
    return model


def branch_of(model: nn.Module) -> FeatureBranch | None:
    """Return the branch of a model; None if it has none."""
    branch = getattr(model, "features", None)
    return branch if isinstance(branch, FeatureBranch) else None


def fit_into(
    model: nn.Module, train: Sequence[TaggedExample], setup: Setup[Any], *, checkpoint: Path, clock: Clock = STOPPED
) -> None:
    """Fit the branch of a model, if it has one, unless a checkpoint exists, which has the fitted branch."""
    branch = branch_of(model)
    if branch is not None and not checkpoint.exists():
        with clock("ngrams"):
            fit(branch, train, setup)


def fit(branch: FeatureBranch, train: Sequence[TaggedExample], setup: Setup[Any]) -> None:
    """Fit a branch by scikit-learn's logistic regression, without the features that occur once.

    Args:
        branch: the branch, changed in place.
        train: the training examples.
        setup: configuration and resolved facts. A tag without training examples has a logit of -20 for every word.
    """
    number = {tag: i for i, tag in enumerate(setup.resolved.labels)}
    gold = np.array([number[tag] for example in train for tag in example.tags], dtype=np.int64)  # (n_words,)
    hashed = hashed_features([example.words for example in train], len(branch.weight))
    count = np.bincount(hashed.indices, hashed.data, minlength=len(branch.weight))          # (n_buckets,)
    used, present = np.flatnonzero(count >= MIN_COUNT), np.unique(gold)
    weight, bias = np.zeros(branch.weight.shape), np.full(branch.bias.shape, ABSENT)
    bias[present] = 0.0
    if len(present) > 1:
        with fitting():
            model = fitted(hashed[:, used], gold, C=setup.config.tagging.regularization, max_iter=1000, tol=1e-4)
        two = len(present) == 2  # scikit-learn has the log-odds of the second tag
        coefficients = np.concatenate([-model.coef_ / 2, model.coef_ / 2]) if two else model.coef_
        weight[np.ix_(used, present)] = coefficients.T
        bias[present] = np.array([-0.5, 0.5]) * model.intercept_ if two else model.intercept_
    for buffer, values in ((branch.weight, weight), (branch.bias, bias)):
        buffer.copy_(torch.from_numpy(values.astype(np.float32)))


def log_probabilities(branch: FeatureBranch, sentences: Sequence[Sequence[str]]) -> list[Tensor]:
    """Compute the log-probabilities of the tags of each word by the branch.

    Args:
        branch: the fitted branch.
        sentences: the words of each sentence, as written.

    Returns:
        For each sentence, *shape* ``(n_words, n_tags)``, float32, on the CPU.
    """
    n_buckets, n_tags = branch.weight.shape
    found: list[Tensor] = []
    for start in range(0, len(sentences), N_AT_ONCE):
        part = sentences[start:start + N_AT_ONCE]
        rows = hashed_features(part, n_buckets)
        arrays = (rows.indices.astype(np.int64), rows.data.astype(np.float32), rows.indptr[:-1].astype(np.int64))
        with torch.inference_mode():
            scores = branch(*(torch.from_numpy(array).to(branch.bias.device) for array in arrays)).float().cpu()
        found += scores.reshape(-1, n_tags).split([len(words) for words in part])
    return found
