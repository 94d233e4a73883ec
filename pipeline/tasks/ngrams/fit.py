"""Size and fit the n-gram branch of a run, after stage one and before training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from embeddings.table.arguments import setting
from embeddings.tokenization.ngrams import Sparse, inverse_document_frequency, tfidf, without_empty_columns
from pipeline.baselines.linear import FLOAT64, fitting
from pipeline.baselines.selection import GB
from pipeline.config import RunConfig
from pipeline.data.examples import Example
from pipeline.tasks.base import Task
from pipeline.tasks.ngrams.fusion import DEFAULT
from pipeline.tasks.ngrams.regression import Regression, weights_of_labels
from pipeline.tasks.ngrams.sampling import stratified_sample
from pipeline.tasks.ngrams.scores import branch_of, hasher_of
from pipeline.tasks.resolved import Setup
from pipeline.tasks.text_input import joined
from pipeline.telemetry.profiling import STOPPED, Clock
from transformer.models.ngram_branch import NgramBranch

log = logging.getLogger("vecformer")

SMALLEST, LARGEST = 2**14, 2**20  # buckets that are chosen
MAX_WEIGHTS = 2**24               # buckets x labels that are chosen
ROOM = 4                          # buckets of a family for each of its distinct n-grams, at least
COUNT_COPIES = 3                  # copies of the counts that the fit holds
FEWEST = 10_000                   # training texts that are sampled, at least; with fewer, there is no branch
SHARE_OF_LIMIT = 0.95             # that sampled texts may take, since their lengths vary
COPIES = 6                        # copies of the coefficients that the fit and the model hold
ABSENT = -20.0                    # logit of a label without training examples


@dataclass(frozen=True)
class NgramFit:
    """The sizes of the branch of a run, and what it is fitted on.

    Attributes:
        setup: the setup of the run, with the sizes of the branch among its resolved facts if it has one.
        counts: n-grams of its training texts; None without a branch. *Shape:* ``(n_texts, buckets)``, float32.
        gold: number of the label of each of them. *Shape:* ``(n_texts,)``, int64.
        clock: measures the time of the fit.
    """

    setup: Setup[Any]
    counts: Sparse | None
    gold: NDArray[np.int64]
    clock: Clock = STOPPED

    def into(self, model: nn.Module, *, checkpoint: Path) -> None:
        """Fit the branch of a model in place, unless a checkpoint exists, which has the fitted branch."""
        branch = branch_of(model)
        if branch is not None and self.counts is not None and not checkpoint.exists():
            with self.clock("ngrams"):
                fit(branch, self.counts, self.gold, self.setup)


def plan(setup: Setup[Any], task: Task[Any], train: Sequence[Example], clock: Clock = STOPPED) -> NgramFit:
    """Choose the size of the branch of a run, and the texts that it is fitted on: all, or as many as fit into memory.

    A run whose branch does not fit into memory with few texts, or with its labels, has none. Both are logged.

    Args:
        setup: configuration and resolved facts.
        task: the task.
        train: the training examples.
        clock: measures the time of the part ``ngrams``.
    """
    if not setup.config.ngrams.enabled or "ngrams.enabled" not in task.keys:
        return NgramFit(setup, None, np.zeros(0, np.int64), clock)
    with clock("ngrams"):
        return _plan(setup, train, clock)


def _plan(setup: Setup[Any], train: Sequence[Example], clock: Clock) -> NgramFit:
    config = setup.config
    texts, labels = [joined(example) for example in train], setup.resolved.labels
    number = {label: i for i, label in enumerate(labels)}
    gold = np.array([number[example.label] for example in train])                           # (n_train,)
    hasher = hasher_of(config, max(LARGEST, config.ngrams.buckets))
    needed = hasher.bytes_for(texts, COUNT_COPIES)
    problem = above = _above_limit(needed, f"{len(texts):,} training texts", config)
    while problem and (n_kept := _n_within_limit(needed, len(texts), config)) >= FEWEST:
        kept = stratified_sample(gold, n_kept, config.seed)
        texts, gold = [texts[i] for i in kept], gold[kept]
        needed = hasher.bytes_for(texts, COUNT_COPIES)  # those drawn may be longer than the mean
        problem = _above_limit(needed, f"{n_kept:,} training texts", config)
    if not problem:
        counts = hasher.counts(texts)
        buckets = config.ngrams.buckets or choose_buckets(counts, len(labels))
        problem = _too_many(buckets, len(labels), len(texts), config)
    if problem:
        log.warning("the n-gram branch is left out: %s", problem)
        return NgramFit(setup, None, np.zeros(0, np.int64), clock)
    if above:
        log.warning("the n-gram branch is fitted to %s of the training texts: with all of them, %s", f"{len(texts):,}",
                    above)
    counts = hasher_of(config, buckets).folded(counts)
    resolved = replace(setup.resolved, ngram_buckets=buckets, ngram_weights=DEFAULT,
                       ngram_regularization=_regularization(counts, gold, setup))
    return NgramFit(replace(setup, resolved=resolved), counts, gold, clock)


def refit(
    model: nn.Module, train: Sequence[Any], dev: Sequence[Any], setup: Setup[Any], clock: Clock = STOPPED
) -> None:
    """Fit the branch of a model again, to training and dev examples together and with the same regularisation.

    To be called when nothing more is chosen or measured on dev. Nothing happens for a model without a branch, without
    dev examples or ``ngrams.refit``, after self-training, whose labels ``train`` lacks, and for more examples than fit
    into memory.
    """
    branch, config, resolved = branch_of(model), setup.config, setup.resolved
    self_trained = resolved.self_training is not None and resolved.self_training.is_used
    if branch is None or not dev or not config.ngrams.refit or self_trained:
        return
    examples, number = [*train, *dev], {label: i for i, label in enumerate(resolved.labels)}
    texts, hasher = [joined(example) for example in examples], hasher_of(config, resolved.ngram_buckets)
    with clock("ngrams"):
        if not _above_limit(hasher.bytes_for(texts, COUNT_COPIES), "", config):
            fit(branch, hasher.counts(texts), np.array([number[example.label] for example in examples]), setup)


def choose_buckets(counts: Sparse, n_labels: int) -> int:
    """Return the smallest suitable power of two, or 0 if there are too many labels for any.

    It has four times as many buckets for each family as the family has distinct n-grams, within :data:`SMALLEST`,
    :data:`LARGEST`, and :data:`MAX_WEIGHTS` divided by the number of labels.

    Args:
        counts: counts in many buckets. *Shape:* ``(n_texts, many)``.
        n_labels: number of labels.
    """
    half = counts.shape[1] // 2
    used = np.unique(counts.indices)                                                        # (n_used,)
    n_distinct = max(int((used < half).sum()), int((used >= half).sum()), 1)
    wanted = 2 * _power_of_two(ROOM * n_distinct)
    allowed = _power_of_two(MAX_WEIGHTS // n_labels + 1) // 2
    return min(max(wanted, SMALLEST), LARGEST, allowed) if allowed >= SMALLEST else 0


def fit(branch: NgramBranch, counts: Sparse, gold: NDArray[np.int64], setup: Setup[Any]) -> None:
    """Fit a branch by logistic regression on TF-IDF, whose columns are weighted by :func:`relevance`.

    Labels are weighted as in the training loss. A label without training examples, or with weight 0, has the logit
    :data:`ABSENT` for every text.

    Args:
        branch: the branch, changed in place.
        counts: n-grams of the training texts. *Shape:* ``(n_texts, buckets)``, float32.
        gold: number of the label of each text. *Shape:* ``(n_texts,)``, int64.
        setup: configuration and resolved facts.
    """
    n_labels = len(setup.resolved.labels)
    idf = inverse_document_frequency(counts)
    rows, used, counted = _weighted_rows(counts, idf, gold, setup)
    present = np.unique(counted)                                                            # (n_present,)
    weight = np.zeros((len(idf), n_labels))
    bias = np.full(n_labels, ABSENT)
    bias[present] = 0.0
    if len(present) > 1:
        with fitting():
            weight[np.ix_(used, present)], bias[present] = Regression.of(setup).fit(rows, counted)
    if n_labels == 2:
        weight, bias = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
    for buffer, values in ((branch.idf, idf), (branch.weight, weight), (branch.bias, bias)):
        buffer.copy_(torch.from_numpy(values.astype(np.float32)))


def _regularization(counts: Sparse, gold: NDArray[np.int64], setup: Setup[Any]) -> float:
    """Return the configured regularisation, or the one that cross-validation chooses; 0 with fewer than two labels."""
    rows, _, counted = _weighted_rows(counts, inverse_document_frequency(counts), gold, setup)
    if len(np.unique(counted)) < 2:
        return 0.0
    with fitting():
        regression = Regression.of(setup)
        return regression.regularization or regression.chosen(rows, counted)


def _weighted_rows(
    counts: Sparse, idf: NDArray[np.float32], gold: NDArray[np.int64], setup: Setup[Any]
) -> tuple[Sparse, NDArray[np.int64], NDArray[np.int64]]:
    """Return TF-IDF of the texts whose label has a weight, the buckets of its columns, and the texts' labels."""
    kept = np.flatnonzero(weights_of_labels(setup)[gold])                                   # (n_kept,)
    rows, used = without_empty_columns(tfidf(counts, idf)[kept])
    return rows, used, gold[kept]


def _power_of_two(n: int) -> int:
    """Return the smallest power of two that is at least ``n``."""
    return 1 << max(0, n - 1).bit_length()


def _too_many(buckets: int, n_labels: int, n_texts: int, config: RunConfig) -> str:
    """Describe why the branch has too many weights; "" if it has not."""
    if not buckets:
        return f"{n_labels:,} labels; with more than {MAX_WEIGHTS // SMALLEST:,}, set ngrams.buckets"
    n_outputs = 1 if n_labels == 2 else n_labels
    return _above_limit(FLOAT64 * n_outputs * (COPIES * buckets + 2 * n_texts),
                        f"{n_labels:,} labels, {buckets:,} buckets, {n_texts:,} training texts", config)


def _n_within_limit(needed: float, n: int, config: RunConfig) -> int:
    """Return how many of ``n`` training texts fit into the limit of memory if all of them need ``needed`` bytes."""
    return int(n * SHARE_OF_LIMIT * config.baseline_memory_gb * GB / needed)


def _above_limit(needed: float, sizes: str, config: RunConfig) -> str:
    limit = config.baseline_memory_gb
    if needed <= limit * GB:
        return ""
    return (f"it needs about {needed / GB:,.1f} GB of memory ({sizes}); the limit is {limit:g} GB. Raise it with "
            f"{setting(f'baseline_memory_gb={needed / GB + 1:.0f}')}")
