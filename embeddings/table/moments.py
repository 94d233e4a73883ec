"""Norms, means and standard deviations of float32 vectors of any size.

Squares of float32 numbers below 1e-19 underflow, and those above 1e19 overflow. Ordinary results are numpy's in
float32; one outside the range in which they are exact to rounding is computed again in float64, whose range suffices
for every float32 number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Numbers = NDArray[np.floating[Any]]

LEAST, GREATEST = 1e-14, 1e18
TINY = float(np.finfo(np.float32).tiny)  # smallest number whose reciprocal is representable in float32


def norms(rows: Vectors) -> Numbers:
    """Return the Euclidean norm of each row; float64 if one needs it. *Shape:* ``(n, dim)`` to ``(n, 1)``."""
    with np.errstate(over="ignore"):
        norm: Numbers = np.linalg.norm(rows, axis=1, keepdims=True)
    extreme = _is_extreme(norm)[:, 0]
    if extreme.any():
        exact = np.linalg.norm(rows[extreme].astype(np.float64), axis=1, keepdims=True)
        if exact.any():
            norm = norm.astype(np.float64)
            norm[extreme] = exact
    return norm


def unit_rows(rows: Vectors) -> Vectors:
    """Divide each row by its norm; zero rows stay zero. *Shape:* ``(n, dim)`` in and out."""
    norm = norms(rows)
    return (rows / np.where(norm > 0, norm, 1)).astype(np.float32, copy=False)


def mean(rows: Vectors, axis: int | None = None) -> Numbers:
    """Return the mean of all entries, or along an axis."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: Numbers = np.asarray(rows.mean(axis=axis))
    if np.isfinite(found).all():
        return found
    exact: Numbers = np.asarray(rows.mean(axis=axis, dtype=np.float64)).astype(np.float32)
    return exact


def deviation(rows: Vectors, axis: int | None = None) -> Numbers:
    """Return the standard deviation of all entries, or along an axis; exactly 0 for equal entries that underflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: Numbers = np.asarray(rows.std(axis=axis))
    extreme = _is_extreme(found) & (np.asarray(rows.min(axis=axis)) < np.asarray(rows.max(axis=axis)))
    if not extreme.any():
        return found
    exact: Numbers = np.where(extreme, rows.std(axis=axis, dtype=np.float64), found)
    return exact


def _is_extreme(numbers: Numbers) -> NDArray[np.bool_]:
    return ~((numbers > LEAST) & (numbers < GREATEST))  # also for nan
