"""A vocabulary transplant: the rows of a new vocabulary from those of a checkpoint."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.table.moments import deviation, mean
from embeddings.table.oov_policy import COPIED, MIXED, RANDOM, SUBWORD
from embeddings.table.row_maps import Vectors
from embeddings.transplant.base import Method, Mixture, Problem, parse_method
from embeddings.transplant.methods.subword import Subword
from embeddings.transplant.pieces import mean_of_pieces
from embeddings.transplant.vocabulary import Ids, Vocabulary, shared_rows

PROVENANCES = (COPIED, MIXED, SUBWORD, RANDOM)


@dataclass(frozen=True, eq=False)
class Transplanted:
    """Tables of the new vocabulary.

    Attributes:
        tables: one for each old table, float32. *Shape:* ``(n_new, dim)``.
        provenance: for each row ``copied``, ``mixed`` (by the method), ``subword`` (mean of the token's pieces) or
            ``random``.
        origins: for each row the old row that was copied, or -1. *Shape:* ``(n_new,)``.
    """

    tables: tuple[Vectors, ...]
    provenance: tuple[str, ...]
    origins: Ids

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each provenance, in a fixed order."""
        counted = Counter(self.provenance)
        return {why: counted[why] for why in PROVENANCES}


def row_counts(provenance: Iterable[str], method: str) -> str:
    """State how many rows were copied, mixed and drawn; other numbers than that of copied ones only if not 0.

    Args:
        provenance: that of each row.
        method: the method.
    """
    counted = Counter(provenance)
    names = {COPIED: "copied", MIXED: f"mixed by {method}", SUBWORD: "mean of their pieces", RANDOM: "random"}
    return "rows: " + ", ".join(f"{counted[why]:,} {name}" for why, name in names.items()
                                if counted[why] or why == COPIED)


def transplant(
    method: str | Method, tables: Sequence[NDArray[Any]], old: Vocabulary, new: Vocabulary, *, seed: int = 1
) -> Transplanted:
    """Compute the tables of a new vocabulary.

    Shared tokens are copied. A token that the method cannot compute, for instance because it has no static vector, gets
    the mean of the rows of its pieces or, if it cannot be split either, a random row. All tables are computed with the
    same weights.

    Args:
        method: specification such as ``focus`` or ``omp,k=32``, or a method.
        tables: input embeddings first, then other tensors with one row per token (output embeddings; biases as one
            column), float32. *Shape:* ``(n_old, dim)``.
        old: vocabulary of the tables, with static vectors for ``wechsel``.
        new: the new vocabulary, with static vectors for ``focus``, ``omp`` and ``wechsel``.
        seed: seed of random rows; the row of a token does not depend on its position.

    Raises:
        SpecificationError: if the method is unknown or has an invalid option.
        EmbeddingError: if a table has not as many rows as the old vocabulary, or static vectors are missing or of
            different dimensions.
    """
    chosen = parse_method(method) if isinstance(method, str) else method
    _check(chosen, tables, old, new)
    origins = shared_rows(old, new)
    made = [np.zeros((len(new), table.shape[1]), np.float32) for table in tables]
    provenance = np.full(len(new), RANDOM, dtype=object)
    is_shared = origins >= 0
    for target, table in zip(made, tables, strict=True):
        target[is_shared] = table[origins[is_shared]]
    provenance[is_shared] = COPIED
    rows = np.array([row for row in np.flatnonzero(~is_shared).tolist() if not new.tokens[row].is_special], np.int64)
    problem = Problem(old, new, origins, rows)
    why = SUBWORD if isinstance(chosen, Subword) else MIXED
    for mixture in chosen.mixtures(problem):
        _mix(mixture, tables, made)
        provenance[mixture.rows] = why
    if getattr(chosen, "falls_back", True):
        rest = Problem(old, new, origins, rows[provenance[rows] == RANDOM])
        for mixture in mean_of_pieces(rest):
            _mix(mixture, tables, made)
            provenance[mixture.rows] = SUBWORD
    _draw(np.flatnonzero(provenance == RANDOM).tolist(), tables, made, new, seed)
    return Transplanted(tuple(made), tuple(provenance.tolist()), origins)


def _check(method: Method, tables: Sequence[NDArray[Any]], old: Vocabulary, new: Vocabulary) -> None:
    for table in tables:
        if table.ndim != 2 or len(table) != len(old):
            raise EmbeddingError(f"the old vocabulary has {len(old)} tokens, but a table has the shape "
                                 f"{list(table.shape)}")
    for which, vocabulary in (("new", new), ("old", old)):
        if which in method.needs and vocabulary.vectors is None:
            raise EmbeddingError(f"the method needs static vectors of the {which} vocabulary; pass them")
    if "old" in method.needs and old.vectors is not None and new.vectors is not None \
            and old.vectors.shape[1] != new.vectors.shape[1]:
        raise EmbeddingError(f"the static vectors of the old vocabulary have dimension {old.vectors.shape[1]}, those "
                             f"of the new one {new.vectors.shape[1]}; use vectors of the same dimension")


def _mix(mixture: Mixture, tables: Sequence[NDArray[Any]], made: Sequence[Vectors]) -> None:
    """Write the rows of a mixture into the new tables."""
    for table, target in zip(tables, made, strict=True):
        if mixture.weights is None:
            target[mixture.rows] = mean(np.asarray(table), axis=0)
            continue
        used = np.unique(mixture.weights.indices)
        target[mixture.rows] = mixture.weights[:, used] @ np.asarray(table[used], np.float32)


def _draw(
    rows: list[int], tables: Sequence[NDArray[Any]], made: Sequence[Vectors], new: Vocabulary, seed: int
) -> None:
    """Draw rows from normal distributions with the mean and deviation of the columns; of equal tables equal rows."""
    if not rows:
        return
    for number, (table, target) in enumerate(zip(tables, made, strict=True)):
        first = next(i for i, other in enumerate(tables) if other is table or np.array_equal(other, table))
        if first < number:
            target[rows] = made[first][rows]
            continue
        centre, spread = mean(np.asarray(table), axis=0), deviation(np.asarray(table), axis=0)
        for row in rows:
            digest = hashlib.blake2b(f"{seed} {number} {new.tokens[row].name}".encode(errors="surrogatepass"))
            drawn = np.random.default_rng(int.from_bytes(digest.digest()[:16], "little"))
            target[row] = centre + spread * drawn.standard_normal(table.shape[1], dtype=np.float32)
