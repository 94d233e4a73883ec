"""Orthogonal matching pursuit: sparse linear combinations of shared tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from embeddings.transplant.base import Mixture, Problem, blocks, method, sparse, unit
from embeddings.transplant.vocabulary import Ids

Matrix = NDArray[np.float64]

RELATIVE = 1e-6  # norm of a residual, relative to that of the vector, at which the approximation is complete


@method("omp")
@dataclass(frozen=True)
class OrthogonalMatchingPursuit:
    """Approximates the static vector by those of at most k shared tokens; their rows get the same coefficients.

    Goddard & Fernandes Neto, "Training-Free Tokenizer Transplantation via Orthogonal Matching Pursuit" (arXiv
    2506.06607), as in mergekit's tokensurgeon.
    """

    needs: ClassVar[tuple[str, ...]] = ("new",)

    k: Annotated[int, Field(ge=1, description="greatest number of tokens in a combination, such as 64")] = 64

    def mixtures(self, problem: Problem) -> Iterator[Mixture]:
        """Yield the coefficients of the tokens that have a static vector; their sum is not 1 in general."""
        anchors, vectors = problem.anchors(), problem.new.vectors
        if vectors is None or not len(anchors):
            return
        atoms = vectors[anchors].astype(np.float64)                      # (n_anchors, static_dim)
        for rows in blocks(problem.targets(), max(len(anchors), self.k * atoms.shape[1])):
            chosen, coefficients = pursue(vectors[rows].astype(np.float64), atoms, self.k)
            yield Mixture(rows, sparse(coefficients, problem.shared[anchors][chosen], len(problem.old)))


def pursue(targets: Matrix, atoms: Matrix, k: int) -> tuple[Ids, Matrix]:
    """Approximate vectors by orthogonal matching pursuit (Pati et al. 1993).

    Each step adds the atom whose direction correlates most with the residual, and projects onto all chosen atoms.

    Args:
        targets: *Shape:* ``(n_targets, dim)``.
        atoms: not zero. *Shape:* ``(n_atoms, dim)``.
        k: greatest number of atoms.

    Returns:
        Chosen atoms, int64, and their coefficients, float64; a coefficient is 0 after the approximation is complete.
        *Shapes:* ``(n_targets, n_chosen)`` each, with ``n_chosen`` at most ``min(k, n_atoms, dim)``.
    """
    directions, lengths = unit(atoms.astype(np.float64)), np.linalg.norm(atoms, axis=1)
    n, dim = targets.shape
    k = min(k, len(atoms), dim)
    every = np.arange(n)
    chosen, basis = np.zeros((n, k), np.int64), np.zeros((n, k, dim))    # basis: orthonormal rows
    triangle = np.broadcast_to(np.eye(k), (n, k, k)).copy()              # chosen directions = triangle.T @ basis
    projections, residual = np.zeros((n, k)), targets.copy()
    is_open = np.linalg.norm(targets, axis=1) > 0
    limit = RELATIVE * np.linalg.norm(targets, axis=1)
    for step in range(k):
        correlations = np.abs(residual @ directions.T)                   # (n, n_atoms)
        correlations[every[:, None], chosen[:, :step]] = -1
        chosen[:, step] = correlations.argmax(axis=1)
        added = directions[chosen[:, step]]                              # (n, dim)
        along = np.zeros((n, k))
        for _ in range(2):  # once more, because rounding makes the first result not quite orthogonal
            part = np.einsum("nkd,nd->nk", basis, added)
            added = added - np.einsum("nk,nkd->nd", part, basis)
            along += part
        norm = np.linalg.norm(added, axis=1)
        is_open &= norm > RELATIVE
        added = np.where(is_open[:, None], added / np.where(norm > 0, norm, 1)[:, None], 0)
        basis[:, step], triangle[:, :, step] = added, np.where(is_open[:, None], along, triangle[:, :, step])
        triangle[:, step, step] = np.where(is_open, norm, 1)
        projections[:, step] = np.einsum("nd,nd->n", added, residual)
        residual -= projections[:, step, None] * added
        is_open &= np.linalg.norm(residual, axis=1) > limit
        if not is_open.any():
            break
    coefficients = np.linalg.solve(triangle, projections[:, :, None])[:, :, 0] if n else projections
    return chosen, coefficients / lengths[chosen]
