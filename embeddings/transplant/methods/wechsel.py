"""WECHSEL: mixtures of the nearest tokens of the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from embeddings.transplant.base import Mixture, Problem, blocks, method, sparse, unit


@method("wechsel")
@dataclass(frozen=True)
class Wechsel:
    """Mixes the rows of the checkpoint's tokens with the most similar static vectors, by a softmax of the similarities.

    Minixhofer et al., "WECHSEL: Effective initialization of subword embeddings for cross-lingual transfer of
    monolingual language models", NAACL 2022 (arXiv 2112.06598). Unlike the paper, shared tokens are copied.
    """

    needs: ClassVar[tuple[str, ...]] = ("new", "old")

    k: Annotated[int, Field(ge=1, description="number of nearest tokens, such as 10")] = 10
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False, description=(
        "temperature of the softmax, such as 0.1; smaller values favour the nearest token"))] = 0.1

    def mixtures(self, problem: Problem) -> Iterator[Mixture]:
        """Yield the weights of the tokens that have a static vector; their sum is 1."""
        candidates, ours, theirs = problem.old.with_vectors(), problem.new.vectors, problem.old.vectors
        if ours is None or theirs is None or not len(candidates):
            return
        directions, k = unit(theirs[candidates]), min(self.k, len(candidates))
        for rows in blocks(problem.targets(), len(candidates)):
            similarities = unit(ours[rows]) @ directions.T               # (n_rows, n_candidates)
            nearest = np.argpartition(-similarities, k - 1, axis=1)[:, :k]
            scores = np.take_along_axis(similarities, nearest, axis=1) / self.temperature
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)                # (n_rows, k)
            yield Mixture(rows, sparse(weights, candidates[nearest], len(problem.old)))
