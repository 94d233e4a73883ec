"""Random rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from embeddings.transplant.base import Mixture, Problem, method


@method("random")
@dataclass(frozen=True)
class Random:
    """Draws the rows of new tokens with the mean and standard deviation of the table's columns."""

    needs: ClassVar[tuple[str, ...]] = ()
    falls_back: ClassVar[bool] = False

    def mixtures(self, problem: Problem) -> Iterable[Mixture]:
        """Yield nothing."""
        return ()
