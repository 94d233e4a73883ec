"""Integrated gradients: the contribution of each token of a text to a score of the model.

The method is that of Sundararajan et al. (2017), "Axiomatic Attribution for Deep Networks": the gradient of the
score is integrated along the straight line from the embeddings of a baseline to those of the text. The integral,
multiplied by the difference of the embeddings, is a contribution; all contributions sum to the difference of the score
between text and baseline (completeness). The integral is computed by Gauss-Legendre quadrature, the default of captum.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from transformer.kernels.engine import TORCH, use
from transformer.layers.embedding import TokenEmbedding

STEPS = (32, 64, 128, 256, 512, 1024)
"""Numbers of steps that are tried, until the sum of the contributions is close enough to the difference."""
TOLERANCE = 0.01
"""Largest relative error of the sum of the contributions that is close enough."""
MAX_POSITIONS = 4096  # positions of a batch
LEAST = 1e-9          # smaller differences, relative to the scores, count as this

Score = Callable[[Tensor, Tensor], Tensor]
"""Computes the score of each row of a batch from the output of the model and the linear logits.

*Shapes:* ``(batch, ...)`` and ``(batch, n_logits)`` to ``(batch,)``.
"""


@dataclass(frozen=True)
class Attribution:
    """Contributions to a score.

    Attributes:
        tokens: contribution of each token. *Shape:* ``(length,)``, float64.
        terms: contribution of each linear term. *Shape:* ``(n_terms,)``, float64.
        score: the score of the text.
        baseline_score: the score of the baseline.
        n_steps: number of steps of the integral.
    """

    tokens: Tensor
    terms: Tensor
    score: float
    baseline_score: float
    n_steps: int

    @property
    def sum(self) -> float:
        """Sum of all contributions."""
        return float(self.tokens.sum() + self.terms.sum())

    @property
    def difference(self) -> float:
        """The score of the text minus that of the baseline, which the sum approximates."""
        return self.score - self.baseline_score

    @property
    def relative_error(self) -> float:
        """Distance between sum and difference, divided by the size of the difference.

        A difference of less than a billionth of the scores counts as a billionth.
        """
        least = LEAST * max(1.0, abs(self.score), abs(self.baseline_score))
        return abs(self.sum - self.difference) / max(abs(self.difference), least)

    @property
    def is_complete(self) -> bool:
        """Whether the relative error is at most :data:`TOLERANCE`."""
        return self.relative_error <= TOLERANCE

    @property
    def is_precise(self) -> bool:
        """Whether the error is also small relative to the contributions of the tokens, which may be a small part."""
        error, size = abs(self.sum - self.difference), float(self.tokens.abs().sum())
        return self.is_complete and (not size or error <= TOLERANCE * size)


def attribute(
    model: nn.Module, embedding: TokenEmbedding, ids: Tensor, baseline: Tensor, score: Score, *,
    token_types: Tensor | None = None, terms: Tensor | None = None, steps: int | Sequence[int] = STEPS,
) -> Attribution:
    """Compute the contribution of each token by integrated gradients on the output of the embedding layer.

    The linear logits, such as those of a branch for n-grams, are sums of terms. They move from zero to their value on
    the same path. A term contributes its logits times the mean gradient of the score with respect to them.

    Args:
        model: the model, in evaluation mode; called with ids and token types.
        embedding: its embedding layer.
        ids: token ids. *Shape:* ``(1, length)``, int64.
        baseline: token ids of the baseline; contributions of tokens that are equal are zero. *Shape:* as ``ids``.
        score: computes the score.
        token_types: the same for text and baseline. *Shape:* as ``ids``.
        terms: what each feature of a linear model adds to its logits; None for no such model.
            *Shape:* ``(n_terms, n_logits)``, float32.
        steps: number of steps; of several, the first one whose result is precise, otherwise the most accurate. If
            none of several is complete, they are tried again with a copy of the model in float64.

    Raises:
        ValueError: if ``steps`` is empty.
    """
    tried = (steps,) if isinstance(steps, int) else tuple(steps)
    if not tried:
        raise ValueError("steps must not be empty")
    terms = torch.zeros(0, 0) if terms is None else terms
    with use(TORCH), torch.autocast(ids.device.type, enabled=False):
        found = _first_precise(model, embedding, ids, baseline, score, token_types, terms, tried)
        if not found.is_complete and len(tried) > 1:  # a difference near the rounding error of float32
            exact = copy.deepcopy(model).double()
            (name,) = [name for name, part in model.named_modules() if part is embedding]
            layer = cast(TokenEmbedding, exact.get_submodule(name))
            found = min(found, _first_precise(exact, layer, ids, baseline, score, token_types, terms.double(), tried),
                        key=lambda one: one.relative_error)
    return found


def _first_precise(
    model: nn.Module, embedding: TokenEmbedding, ids: Tensor, baseline: Tensor, score: Score,
    token_types: Tensor | None, terms: Tensor, steps: Sequence[int],
) -> Attribution:
    """Return the first precise result, otherwise the most accurate one; arguments as for :func:`attribute`."""
    linear = terms.sum(dim=0).to(ids.device)                                                # (n_logits,)
    with torch.no_grad():
        end, start = embedding(ids), embedding(baseline)                                    # (1, L, d_model) each
        path = _Path(model, embedding, ids, token_types, score, start, end, linear)
        scores = [float(path.scores(torch.tensor([alpha], device=ids.device))[0]) for alpha in (0.0, 1.0)]
    found = []
    for n in steps:
        gradient, of_linear = path.mean_gradient(n)
        tokens = ((end - start)[0].double() * gradient).sum(dim=-1)                         # (L,)
        found.append(Attribution(tokens.cpu(), terms.double() @ of_linear.cpu(), scores[1], scores[0], n))
        if found[-1].is_precise:
            break
    return min(found, key=lambda one: one.relative_error)


@dataclass(frozen=True)
class _Path:
    """The straight line from the baseline to the text.

    Attributes:
        model: the model.
        embedding: its embedding layer.
        ids: token ids. *Shape:* ``(1, length)``, int64.
        token_types: token types. *Shape:* as ``ids``.
        score: computes the score.
        start: embeddings of the baseline. *Shape:* ``(1, length, d_model)``.
        end: embeddings of the text. *Shape:* as ``start``.
        linear: linear logits of the text. *Shape:* ``(n_logits,)``.
    """

    model: nn.Module
    embedding: TokenEmbedding
    ids: Tensor
    token_types: Tensor | None
    score: Score
    start: Tensor
    end: Tensor
    linear: Tensor

    def scores(self, alphas: Tensor) -> Tensor:
        """Compute the scores at these fractions of the path. *Shape:* ``(n,)``."""
        return self._scores(*self._inputs(alphas))

    def mean_gradient(self, n: int) -> tuple[Tensor, Tensor]:
        """Average the gradient of the score over the path, with ``n`` steps.

        Returns:
            Gradients with respect to the embeddings and to the linear logits.
            *Shapes:* ``(length, d_model)`` and ``(n_logits,)``, float64.
        """
        device = self.ids.device
        nodes, weights = (torch.from_numpy(part).to(device) for part in gauss_legendre(n))  # (n,) each, float64
        of_embeddings = torch.zeros_like(self.end[0], dtype=torch.float64)                  # (L, d_model)
        of_linear = torch.zeros_like(self.linear, dtype=torch.float64)                      # (n_logits,)
        at_once = max(1, MAX_POSITIONS // self.ids.shape[1])
        for first in range(0, n, at_once):
            alphas, factors = nodes[first:first + at_once], weights[first:first + at_once]
            inputs = [part.requires_grad_() for part in self._inputs(alphas)]
            with torch.enable_grad():
                scores = self._scores(*inputs)
            grads = torch.autograd.grad(scores.sum(), inputs, allow_unused=True, materialize_grads=True)
            of_embeddings += torch.einsum("n,nld->ld", factors, grads[0].double())
            of_linear += factors @ grads[1].double()
        return of_embeddings, of_linear

    def _inputs(self, alphas: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings and linear logits at these fractions of the path; each row is one of them."""
        fractions = alphas.to(self.end)
        return (self.start + fractions[:, None, None] * (self.end - self.start),            # (n, L, d_model)
                fractions[:, None] * self.linear)                                           # (n, n_logits)

    def _scores(self, embedded: Tensor, linear: Tensor) -> Tensor:
        n = len(embedded)
        types = None if self.token_types is None else self.token_types.expand(n, -1)
        with embedded_as(self.embedding, embedded):
            return self.score(self.model(self.ids.expand(n, -1), types), linear)


@contextmanager
def embedded_as(embedding: TokenEmbedding, vectors: Tensor) -> Iterator[None]:
    """Replace the output of an embedding layer inside the block. *Shape:* ``(batch, length, d_model)``."""
    hook = embedding.register_forward_hook(lambda *_: vectors)
    try:
        yield
    finally:
        hook.remove()


@cache
def gauss_legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of the quadrature of the interval from 0 to 1. *Shape:* ``(n,)`` each, float64."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2
