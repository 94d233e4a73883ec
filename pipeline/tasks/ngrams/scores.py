"""The n-gram branch of a model: its construction, and its log-probabilities for encoded examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from embeddings.tokenization.ngrams import NgramHasher, Sparse, tfidf
from pipeline.config import RunConfig
from pipeline.tasks.base import Prepared
from pipeline.tasks.resolved import Setup
from pipeline.tasks.text_input import joined
from transformer.models.ngram_branch import NgramBranch

MAX_STORED = 2**24  # log-probabilities of examples that are stored between epochs
N_AT_ONCE = 1024    # texts whose n-grams are counted at once

Scores = Callable[[Sequence[int]], Tensor]
"""Log-probabilities of the examples of these numbers. *Shape:* ``(n, n_labels)``, float32, on the CPU."""


def hasher_of(config: RunConfig, buckets: int) -> NgramHasher:
    """Return the hasher of a configuration with a number of buckets."""
    return NgramHasher(config.ngrams.words, config.ngrams.characters, buckets)


def with_branch(model: nn.Module, setup: Setup[Any]) -> nn.Module:
    """Add an empty branch, ``model.ngrams``, to a model if the run has one."""
    if setup.resolved.ngram_buckets:
        model.ngrams = NgramBranch(n_buckets=setup.resolved.ngram_buckets, n_classes=len(setup.resolved.labels))
    return model


def branch_of(model: nn.Module) -> NgramBranch | None:
    """Return the branch of a model; None if it has none."""
    branch = getattr(model, "ngrams", None)
    return branch if isinstance(branch, NgramBranch) else None


def ngram_scores(branch: NgramBranch, prepared: Prepared[Any], setup: Setup[Any]) -> Scores:
    """Return a function for the log-probabilities of encoded examples, which are stored unless they are too many.

    Args:
        branch: the fitted branch.
        prepared: examples of classification.
        setup: configuration and resolved facts.
    """
    examples = prepared.examples
    texts = [joined(example) for example in examples]
    if len(texts) * len(setup.resolved.labels) > MAX_STORED:
        return lambda rows: log_probabilities(branch, [texts[i] for i in rows], setup)
    if "ngrams" not in prepared.constant:
        prepared.constant["ngrams"] = log_probabilities(branch, texts, setup)
    stored: Tensor = prepared.constant["ngrams"]
    return lambda rows: stored[list(rows)]


def log_probabilities(branch: NgramBranch, texts: Sequence[str], setup: Setup[Any]) -> Tensor:
    """Compute the log-probabilities of texts. *Shape:* ``(n_texts, n_labels)``, float32, on the CPU."""
    hasher = hasher_of(setup.config, setup.resolved.ngram_buckets)
    idf = branch.idf.cpu().numpy()
    with torch.inference_mode():
        parts = [branch(*as_tensors(tfidf(hasher.counts(texts[start:start + N_AT_ONCE]), idf), branch.idf.device))
                 for start in range(0, len(texts), N_AT_ONCE)]
    return torch.cat([part.float().cpu() for part in parts]) if parts else torch.zeros(0, len(setup.resolved.labels))


def as_tensors(rows: Sparse, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return the columns, values and offsets of sparse rows, as :meth:`NgramBranch.forward` takes them."""
    arrays = (rows.indices.astype("int64"), rows.data.astype("float32"), rows.indptr[:-1].astype("int64"))
    columns, values, offsets = (torch.from_numpy(array).to(device) for array in arrays)
    return columns, values, offsets
