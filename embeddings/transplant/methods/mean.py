"""The mean of the checkpoint's rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from embeddings.transplant.base import Mixture, Problem, method


@method("mean")
@dataclass(frozen=True)
class Mean:
    """Gives every new token the mean of all rows.

    The simple baseline of Hewitt (2021), "Initializing New Word Embeddings for Pretrained Language Models", and of
    CW2V (arXiv 2407.05841), without the noise of their covariance: the rows stay equal until they are trained.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def mixtures(self, problem: Problem) -> Iterator[Mixture]:
        """Yield the mean for all rows."""
        yield Mixture(problem.rows, None)
