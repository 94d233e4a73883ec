"""Contributions of tokens and of the linear branch to the score, on one common path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from embeddings.special_tokens import UNK_ID
from pipeline.data.features.batching import pad
from pipeline.explanation.explanation import NgramContribution, Ngrams
from pipeline.explanation.scores import ScoreRule, Term
from pipeline.explanation.subjects.base import Reading
from transformer.inspect.attribution import STEPS, Attribution, attribute
from transformer.kernels.engine import TORCH, use
from transformer.layers.embedding import TokenEmbedding

N_STRONGEST = 20  # features of the branch that are listed


class Inputs(NamedTuple):
    """The input of the model for one example. *Shape:* ``(1, length)`` each, int64."""

    ids: Tensor
    token_types: Tensor | None

    @classmethod
    def of(cls, reading: Reading, device: torch.device) -> Inputs:
        """Return the input of a reading."""
        types = reading.feature.token_types
        return cls(pad([reading.feature.ids]).to(device), None if types is None else pad([types]).to(device))


def baseline_of(reading: Reading, ids: Tensor) -> Tensor:
    """Replace every word by ``<unk>``, whose vector was initialised to the mean of the table; keep special tokens."""
    is_word = torch.tensor([place is not None for place in reading.places], device=ids.device)
    return torch.where(is_word[None, :], UNK_ID, ids)


def contributions(
    model: nn.Module, embedding: TokenEmbedding, reading: Reading, rule: ScoreRule, logits: Tensor, *,
    steps: int | Sequence[int] = STEPS,
) -> Attribution:
    """Compute the contributions of all tokens and features.

    Args:
        model: the model.
        embedding: its embedding layer.
        reading: the input, and what is explained.
        rule: how scores are computed.
        logits: logits of each feature of the branch. *Shape:* ``(n_terms, n_columns)``, float32.
        steps: as for :func:`transformer.inspect.attribution.attribute`.
    """
    inputs = Inputs.of(reading, embedding.weight.device)

    def score(output: Tensor, linear: Tensor) -> Tensor:
        return rule.score(rule.combined(reading.select(output), linear), reading.column)

    return attribute(model, embedding, inputs.ids, baseline_of(reading, inputs.ids), score,
                     token_types=inputs.token_types, steps=steps,
                     terms=logits if rule.has_branch else None)


def combined_scores(
    model: nn.Module, device: torch.device, reading: Reading, rule: ScoreRule, linear: Tensor
) -> Tensor:
    """Compute the scores of the columns for one example. *Shape:* ``(n_columns,)``.

    Args:
        model: the model.
        device: its device.
        reading: the input.
        rule: how scores are computed.
        linear: logits of the branch without its bias. *Shape:* ``(n_columns,)`` or ``(0,)``.
    """
    inputs = Inputs.of(reading, device)
    with torch.inference_mode(), use(TORCH), torch.autocast(device.type, enabled=False):
        outputs = reading.select(model(inputs.ids, inputs.token_types))
        return rule.combined(outputs, linear.to(device)[None])[0].cpu()


def branch_share(terms: Sequence[Term], found: Attribution) -> Ngrams:
    """Return the contributions of the features of the branch, the strongest first."""
    each = found.terms                                                                      # (n_terms,)
    order = each.abs().argsort(descending=True, stable=True).tolist()
    strongest = tuple(NgramContribution(terms[i].name, terms[i].family, float(each[i]))
                      for i in order[:N_STRONGEST] if each[i])
    total = float(each.sum())
    sizes = abs(total) + abs(float(found.tokens.sum()))
    return Ngrams(total, abs(total) / sizes if sizes else 0.0, strongest,
                  total - sum(one.contribution for one in strongest))
