"""The number that is explained: a log-odds, a logit or a value, from the output of the model and of a linear branch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["one of", "any of", "value"]
"""``one of``: exactly one column is correct (log-odds against all others). ``any of``: each column has a probability of
its own (its logit). ``value``: a number, without a probability."""


class Term(NamedTuple):
    """A feature of the linear branch.

    Attributes:
        family: ``words``, ``characters`` or ``features``.
        name: the n-gram or feature.
    """

    family: str
    name: str


@dataclass(frozen=True)
class ScoreRule:
    """Computation of the scores of the columns (labels, tags, positions), and of the score that is explained.

    The model and a linear branch are combined as in prediction: ``a log p_T + b log p_N``. Both logarithms of
    normalising sums are the same for every column, so that the logits have the same log-odds, and are used here: those
    of the branch are sums over its features.

    Attributes:
        kind: meaning of the columns.
        weights: weight of the output of the model, and of the logits of the branch.
        bias: logits of the branch without any feature. *Shape:* ``(n_columns,)``; empty without a branch.
        shift: added to the score of each column. *Shape:* ``(n_columns,)`` or ``()``.
        factor: a value is this times the score, plus ``offset``.
        offset: as ``factor``.
    """

    kind: Kind
    weights: tuple[float, float] = (1.0, 0.0)
    bias: Tensor = field(default_factory=lambda: torch.zeros(0))
    shift: Tensor = field(default_factory=lambda: torch.zeros(()))
    factor: float = 1.0
    offset: float = 0.0

    @property
    def has_branch(self) -> bool:
        """Whether there is a linear branch."""
        return self.bias.numel() > 0

    def combined(self, outputs: Tensor, linear: Tensor) -> Tensor:
        """Combine both models.

        Args:
            outputs: output of the model. *Shape:* ``(batch, n_columns)``.
            linear: logits of the branch without its bias. *Shape:* as ``outputs``, or ``(batch, 0)`` without a branch.

        Returns:
            Unnormalised log-probabilities, or values. *Shape:* ``(batch, n_columns)``.
        """
        a, b = self.weights
        scores = a * outputs + self.shift.to(outputs)
        return scores + b * (linear + self.bias.to(linear)) if self.has_branch else scores

    def score(self, combined: Tensor, column: int) -> Tensor:
        """Return the number that is explained. *Shape:* ``(batch, n_columns)`` to ``(batch,)``.

        Args:
            combined: result of :meth:`combined`.
            column: the column that is explained.
        """
        if self.kind == "one of":
            others = torch.arange(combined.shape[1], device=combined.device) != column
            return combined[:, column] - combined[:, others].logsumexp(dim=1)
        return combined[:, column] * self.factor + self.offset

    def probabilities(self, combined: Tensor) -> Tensor:
        """Return the probability of each column, or the value. *Shape:* ``(batch, n_columns)``, float64."""
        doubled = combined.double()
        if self.kind == "one of":
            return doubled.softmax(dim=-1)
        return doubled.sigmoid() if self.kind == "any of" else doubled * self.factor + self.offset
