"""Scores of the tags of each word, and the tags of a sentence that follow from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from pipeline.data.features.batching import collate
from pipeline.measures.tagging import OUTSIDE, repair
from pipeline.tasks.base import Prepared
from pipeline.tasks.classification import Labels
from pipeline.tasks.inference import reduced_outputs
from pipeline.tasks.ngrams.fusion import tuned_weights
from pipeline.tasks.resolved import Setup
from pipeline.tasks.tags.branch import branch_of, log_probabilities
from pipeline.tasks.tags.decoding import best_sequence, iob2_transitions

Sentences = Sequence[Sequence[str]]
Tags = Sequence[Sequence[str]]

IOB2 = re.compile(r"O|[BI]-\S+")
DEFAULT = (0.4, 0.3)  # weights of the Transformer and of the branch before tuning
DEFAULT_PENALTY = 1.0  # of the tag O before tuning, and without a dev set
PENALTIES = tuple(step / 4 for step in range(17))  # of the tag O that are tried: 0, 0.25, ..., 4


@dataclass(frozen=True)
class TagLabels(Labels):
    """Tags, and how their scores are combined.

    Attributes:
        feature_buckets: number of buckets of the features of words; 0 for a run without them.
        feature_weights: weights of the log-probabilities of the Transformer and of the features; () without them.
        outside_penalty: what is subtracted from the score of the tag O.
    """

    optional = (*Labels.optional, "feature_buckets", "feature_weights", "outside_penalty")
    feature_buckets: int = 0
    feature_weights: tuple[()] | tuple[float, float] = ()
    outside_penalty: float = 0.0


def are_plain(tags: Sequence[str]) -> bool:
    """Return whether tags are not in IOB2 but mark single words, such as parts of speech."""
    return not all(map(IOB2.fullmatch, tags))


def predicted_tags(
    model: nn.Module, prepared: Prepared[Any], sentences: Sentences, setup: Setup[TagLabels],
    progress: Progress = silent,
) -> list[list[str]]:
    """Predict the tags of each sentence.

    Args:
        model: the model.
        prepared: encoded sentences.
        sentences: the words of each, as written.
        setup: configuration and resolved facts.
        progress: progress callback.
    """
    scores = fused(transformer_scores(model, prepared, setup, progress), branch_scores(model, prepared, sentences),
                   setup.resolved.feature_weights)
    return [chosen_tags(of_words, setup) for of_words in scores]


def transformer_scores(
    model: nn.Module, prepared: Prepared[Any], setup: Setup[TagLabels], progress: Progress = silent
) -> list[Tensor]:
    """Compute the logits of each sentence, each word's in the window that tags it. *Shape:* ``(n_words, n_tags)``."""
    features = prepared.features
    windows = reduced_outputs(
        model, features, collate, lambda batch: model(batch.ids, batch.token_types),
        lambda rows, logits: [of_window[features[i].origin] for i, of_window in zip(rows, logits, strict=True)],
        progress=progress)
    found: list[list[Tensor]] = [[torch.zeros(0, len(setup.resolved.labels))] for _ in prepared.examples]
    for feature, scores in zip(features, windows, strict=True):
        found[feature.example].append(scores)
    return [torch.cat(parts) for parts in found]


def branch_scores(model: nn.Module, prepared: Prepared[Any], sentences: Sentences) -> list[Tensor] | None:
    """Return the log-probabilities of each sentence by the features of its words, which do not change in training."""
    branch = branch_of(model)
    if branch is None:
        return None
    if "features" not in prepared.constant:
        prepared.constant["features"] = log_probabilities(branch, sentences)
    stored: list[Tensor] = prepared.constant["features"]
    return stored


def fused(transformer: list[Tensor], branch: list[Tensor] | None, weights: Sequence[float]) -> list[Tensor]:
    """Combine logits of the Transformer and log-probabilities of the branch, if there is one, in a weighted sum."""
    if branch is None:
        return transformer
    a, b = weights
    return [a * ours.log_softmax(dim=-1) + b * theirs for ours, theirs in zip(transformer, branch, strict=True)]


def chosen_tags(scores: Tensor, setup: Setup[TagLabels]) -> list[str]:
    """Return the tags of one sentence.

    Args:
        scores: *Shape:* ``(n_words, n_tags)``, float32.
        setup: configuration and resolved facts.
    """
    labels, penalty = setup.resolved.labels, setup.resolved.outside_penalty
    if penalty and OUTSIDE in labels:
        scores = scores.clone()
        scores[:, labels.index(OUTSIDE)] -= penalty
    if are_plain(labels):
        return [labels[i] for i in scores.argmax(dim=-1).tolist()]
    if setup.config.tagging.decoding == "constrained":
        numbers = best_sequence(scores.numpy(), iob2_transitions(labels)).tolist()
    else:
        numbers = scores.argmax(dim=-1).tolist()
    return repair([labels[i] for i in numbers])


def with_penalty(model: Any, setup: Setup[TagLabels]) -> None:
    """Subtract the penalty of the tag O from the bias of the output layer of a model without features."""
    if setup.resolved.outside_penalty:
        with torch.no_grad():
            model.head.output.bias[setup.resolved.labels.index(OUTSIDE)] -= setup.resolved.outside_penalty


def with_tuned_scores(
    model: nn.Module, prepared: Prepared[Any], sentences: Sentences, setup: Setup[TagLabels],
    f1: Callable[[Tags, Tags], float],
) -> TagLabels:
    """Return the resolved facts with the weights and the penalty that are best on dev.

    The weights of the Transformer and of the features have the smallest cross-entropy, and then the penalty of the tag
    O has the highest F1. The mean F1 of five neighbouring penalties counts, which reduces the influence of single
    entities.

    Args:
        model: the trained model.
        prepared: the dev set.
        sentences: the words of each sentence, as written.
        setup: configuration and resolved facts.
        f1: computes the F1 of gold and predicted tags.
    """
    resolved, labels = setup.resolved, setup.resolved.labels
    tunes_outside = setup.config.tagging.tune_outside and OUTSIDE in labels
    if not (resolved.feature_buckets or tunes_outside):
        return resolved
    transformer, branch = transformer_scores(model, prepared, setup), branch_scores(model, prepared, sentences)
    if branch is not None:
        number = {tag: i for i, tag in enumerate(labels)}
        gold = np.array([number.get(tag, -1) for example in prepared.examples for tag in example.tags], dtype=np.int64)
        resolved = replace(resolved, feature_weights=tuned_weights(torch.cat(transformer), torch.cat(branch), gold))
    if tunes_outside:
        scores, found = fused(transformer, branch, resolved.feature_weights), []
        for penalty in PENALTIES:
            tried = replace(setup, resolved=replace(resolved, outside_penalty=penalty))
            found.append(f1([example.tags for example in prepared.examples],
                            [chosen_tags(of_words, tried) for of_words in scores]))
        resolved = replace(resolved, outside_penalty=PENALTIES[int(np.argmax(smoothed(found)))])
    return resolved


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the mean of each value and the two before and after it; the first and last values are repeated.

    Example:
        >>> smoothed([0.0, 0.0, 5.0, 0.0, 0.0, 0.0])
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    """
    padded = [values[0]] * 2 + list(values) + [values[-1]] * 2
    return [sum(padded[i:i + 5]) / 5 for i in range(len(values))]
