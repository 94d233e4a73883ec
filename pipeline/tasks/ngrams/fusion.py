"""The combination of the Transformer and the n-gram branch: a weighted sum of their log-probabilities.

``log p = a log p_T + b log p_N + const`` is a product of experts (Hinton 2002) with tuned exponents. The Transformer is
overconfident after training, so that ``a`` is usually well below 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.tasks.base import Prediction, Prepared
from pipeline.tasks.ngrams.scores import Scores, branch_of, ngram_scores
from pipeline.tasks.resolved import R, Setup
from pipeline.tasks.text_input import model_outputs

Weights = tuple[float, float]

DEFAULT: Weights = (0.3, 0.6)
"""Weights of the Transformer and of the branch before tuning, and without enough dev examples."""
MIN_EXAMPLES = 50  # dev examples that tuning needs
SPREAD = 0.25      # standard deviation of the normal prior of both weights, whose mean is DEFAULT
SHARE = "ngrams"   # key of a prediction


@dataclass(frozen=True)
class Fusion:
    """The fused scores of encoded examples.

    Attributes:
        scores: log-probabilities of the branch.
        weights: weight of the Transformer, and that of the branch.
    """

    scores: Scores
    weights: Weights

    def __call__(self, rows: Sequence[int], logits: Tensor) -> Tensor:
        """Fuse the logits of the Transformer with the branch. *Shape:* ``(n, n_labels)``, float32.

        Args:
            rows: numbers of the examples.
            logits: output of the Transformer for these examples. *Shape:* ``(n, n_labels)``, float32.
        """
        a, b = self.weights
        return a * logits.log_softmax(dim=-1) + b * self.scores(rows)

    def with_shares(
        self, predictions: Sequence[Prediction], fused: Tensor, logits: Tensor, labels: Sequence[str]
    ) -> list[Prediction]:
        """Add to each prediction ``ngrams``: what the branch adds to the log-odds of the predicted label.

        These are the log-odds of the label against all others by the fused scores, minus those by the Transformer's
        term alone. A negative value is evidence of the branch against the label.
        """
        number = {label: i for i, label in enumerate(labels)}
        predicted = torch.tensor([number[prediction["label"]] for prediction in predictions], dtype=torch.int64)
        alone = self.weights[0] * logits.log_softmax(dim=-1)
        shares = log_odds(fused, predicted) - log_odds(alone, predicted)
        return [{**prediction, SHARE: share} for prediction, share in zip(predictions, shares.tolist(), strict=True)]


def fusion_of(model: nn.Module, prepared: Prepared[Any], setup: Setup[Any]) -> Fusion | None:
    """Return the fusion of a model with a branch for encoded examples; None for a model without one."""
    branch = branch_of(model)
    return Fusion(ngram_scores(branch, prepared, setup), setup.resolved.ngram_weights) if branch else None


def log_odds(scores: Tensor, chosen: Tensor) -> Tensor:
    """Return the log-odds of one label of each row against all others by unnormalised log-probabilities.

    Args:
        scores: *Shape:* ``(n, n_labels)``.
        chosen: number of the label. *Shape:* ``(n,)``, int64.

    Returns:
        *Shape:* ``(n,)``, float64.
    """
    doubled = scores.double()                                                               # (n, n_labels)
    of_chosen = doubled.gather(1, chosen[:, None])                                          # (n, 1)
    others = doubled.scatter(1, chosen[:, None], float("-inf")).logsumexp(dim=1)            # (n,)
    return of_chosen[:, 0] - others


def tuned_weights(transformer: Tensor, branch: Tensor, gold: NDArray[np.int64]) -> Weights:
    """Find the weights with the smallest cross-entropy on dev, with a normal prior around :data:`DEFAULT`.

    The sum of the cross-entropy and the negative logarithm of the prior is convex, so that the result is unique.

    Args:
        transformer: logits or log-probabilities of the Transformer. *Shape:* ``(n, n_labels)``, float32.
        branch: log-probabilities of the branch. *Shape:* as ``transformer``.
        gold: number of the gold label, -1 for none. *Shape:* ``(n,)``, int64.

    Returns:
        Both weights, at least 0; :data:`DEFAULT` for fewer than :data:`MIN_EXAMPLES` examples with a label.
    """
    from scipy.optimize import minimize

    known = torch.from_numpy(np.flatnonzero(gold >= 0))
    if len(known) < MIN_EXAMPLES:
        return DEFAULT
    terms = torch.stack([transformer[known].log_softmax(dim=-1), branch[known]]).double()   # (2, n, n_labels)
    target = torch.from_numpy(gold)[known][None, :, None].expand(2, -1, 1)                  # (2, n, 1)
    of_gold = terms.gather(2, target)[..., 0].sum(dim=1)                                    # (2,)

    def objective(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        factors = torch.from_numpy(np.asarray(weights))                                     # (2,)
        scores = torch.einsum("w,wnl->nl", factors, terms)                                  # (n, n_labels)
        expected = torch.einsum("nl,wnl->w", scores.softmax(dim=-1), terms)                 # (2,)
        away = (weights - np.array(DEFAULT)) / SPREAD
        loss = float(scores.logsumexp(dim=-1).sum() - factors @ of_gold) + 0.5 * float(away @ away)
        return loss, (expected - of_gold).numpy() + away / SPREAD

    found = minimize(objective, np.array(DEFAULT), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * 2).x
    return float(found[0]), float(found[1])


def with_tuned_weights(model: nn.Module, prepared: Prepared[Any], setup: Setup[R]) -> R:
    """Return the resolved facts with the weights that are best on dev; unchanged for a model without a branch."""
    branch = branch_of(model)
    if branch is None:
        return setup.resolved
    logits = model_outputs(model, prepared)                                                 # (n, n_labels)
    gold = np.array([int(feature.target) for feature in prepared.features], dtype=np.int64)  # (n,)
    scores = ngram_scores(branch, prepared, setup)(range(len(gold)))                        # (n, n_labels)
    resolved: Any = setup.resolved
    tuned: R = replace(resolved, ngram_weights=tuned_weights(logits, scores, gold))
    return tuned


def in_words(resolved: Any) -> str:
    """Describe the branch of a run in one sentence; "" if it has none."""
    if not getattr(resolved, "ngram_buckets", 0):
        return ""
    a, b = resolved.ngram_weights
    return (f"The scores combine the Transformer (weight {a:.2f}) with logistic regression on n-grams of words and "
            f"characters (weight {b:.2f}, {resolved.ngram_buckets:,} buckets)")
