"""FOCUS: mixtures of similar shared tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from embeddings.transplant.base import Mixture, Problem, blocks, method, sparse, unit
from embeddings.transplant.sparsemax import sparsemax


@method("focus")
@dataclass(frozen=True)
class Focus:
    """Mixes the rows of shared tokens; the weights are the sparsemax of the cosine similarities of static vectors.

    Dobler & de Melo, "FOCUS: Effective Embedding Initialization for Monolingual Specialization of Multilingual Models",
    EMNLP 2023 (arXiv 2305.14481).
    """

    needs: ClassVar[tuple[str, ...]] = ("new",)

    def mixtures(self, problem: Problem) -> Iterator[Mixture]:
        """Yield the weights of the tokens that have a static vector; their sum is 1."""
        anchors, vectors = problem.anchors(), problem.new.vectors
        if vectors is None or not len(anchors):
            return
        directions = unit(vectors[anchors])                              # (n_anchors, static_dim)
        for rows in blocks(problem.targets(), len(anchors)):
            weights = sparsemax(unit(vectors[rows]) @ directions.T)      # (n_rows, n_anchors)
            yield Mixture(rows, sparse(weights, problem.shared[anchors], len(problem.old)))
