"""The mean of the pieces into which the checkpoint splits a token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from embeddings.transplant.base import Mixture, Problem, method
from embeddings.transplant.pieces import mean_of_pieces


@method("subword")
@dataclass(frozen=True)
class Subword:
    """Gives a new token the mean of the rows of the tokens into which the checkpoint's tokenizer splits its text."""

    needs: ClassVar[tuple[str, ...]] = ()

    def mixtures(self, problem: Problem) -> Iterator[Mixture]:
        """Yield the weights of the tokens that the checkpoint can split; their sum is 1."""
        yield from mean_of_pieces(problem)
