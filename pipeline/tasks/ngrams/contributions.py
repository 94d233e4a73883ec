"""Explain the n-gram branch: what each n-gram of a text contributes to the logit of each label."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from embeddings.table.arguments import setting
from embeddings.tokenization.ngrams import tfidf
from pipeline.errors import ConfigError
from pipeline.tasks.ngrams.scores import as_tensors, branch_of, hasher_of
from pipeline.tasks.resolved import Setup
from transformer.models.ngram_branch import by_label


class Contribution(NamedTuple):
    """What an n-gram contributes to the logits of the labels.

    Attributes:
        family: ``words`` or ``characters``; ``bias`` for the bias, which has no n-gram.
        ngram: the n-gram.
        by_label: summand of the logit of each label.
    """

    family: str
    ngram: str
    by_label: dict[str, float]


def ngram_contributions(model: nn.Module, setup: Setup[Any], text: str) -> list[Contribution]:
    """Return the contributions of the distinct n-grams of a text, and of the bias; each label's sum is its logit.

    N-grams that share a bucket share its contribution in proportion to their frequencies.

    Args:
        model: a model with a fitted branch.
        setup: configuration and resolved facts of the run.
        text: the text; both texts of a pair are joined by a space.

    Raises:
        ConfigError: if the model has no branch.
    """
    branch = branch_of(model)
    if branch is None:
        raise ConfigError(f"this run has no n-gram branch; train with {setting('ngrams.enabled=true')}")
    hasher = hasher_of(setup.config, setup.resolved.ngram_buckets)
    rows = tfidf(hasher.counts([text]), branch.idf.cpu().numpy())
    columns, values, _ = as_tensors(rows, branch.idf.device)
    with torch.inference_mode():
        of_buckets = dict(zip(rows.indices.tolist(), branch.contributions(columns, values).cpu().numpy(), strict=True))
        bias = by_label(branch.bias[None]).cpu()                                            # (1, n_labels)
    ngrams = hasher.ngrams(text)
    in_bucket = Counter[int]()
    for ngram in ngrams:
        in_bucket[ngram.bucket] += ngram.frequency
    none = np.zeros(len(setup.resolved.labels), dtype=np.float32)
    named = [Contribution(ngram.family, ngram.ngram, _named(
        torch.from_numpy(of_buckets.get(ngram.bucket, none) * (ngram.frequency / in_bucket[ngram.bucket])), setup))
             for ngram in ngrams]
    return [*named, Contribution("bias", "", _named(bias[0], setup))]


def _named(values: Tensor, setup: Setup[Any]) -> dict[str, float]:
    return dict(zip(setup.resolved.labels, values.tolist(), strict=True))
