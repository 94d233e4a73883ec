"""Random vectors: the baseline that every other source has to beat, and the controls that a claim about one needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge

from embeddings.errors import EmbeddingError
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.specification.fingerprint import files_behind
from embeddings.specification.grammar import strip_parentheses
from embeddings.specification.suggest import did_you_mean
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import RANDOM, is_known
from embeddings.table.row_maps import Vectors

Draw = Callable[[int, int, np.random.Generator], Vectors]
Control = Callable[[Vectors, int, np.random.Generator], Vectors]


@sources.source("random")
@dataclass(frozen=True)
class Random:
    """Draws a vector for each word of the training text; the baseline to compare with.

    With ``init=matched:SPEC``, ``covariance:SPEC`` or ``shuffled:SPEC`` it is a control for the source SPEC: as wide,
    and with its spread, with its spread and correlations, or with its very rows but each at another word. What SPEC
    gains over these is neither scale nor geometry. A SPEC with options or a ``+`` of its own stands in parentheses.

    Attributes:
        dim: width; by default the model's, or that of SPEC.
        init: ``xavier`` (uniform, Glorot & Bengio 2010), ``normal`` (spread 1), ``uniform`` (-1 to 1), ``matched:SPEC``
            (normal with the mean and spread of SPEC's entries), ``covariance:SPEC`` (normal with its mean vector and
            covariance) or ``shuffled:SPEC``.
    """

    dim: Annotated[int, Ge(1)] | None = None
    init: str = "xavier"

    def __post_init__(self) -> None:
        kind, colon, specification = self.init.partition(":")
        if colon and kind in CONTROLS:
            sources.parse(strip_parentheses(specification))
            if self.dim is not None:
                raise ValueError(f"dim={self.dim} cannot be chosen beside init={self.init}: it has that source's width")
        elif self.init not in DRAWS:
            known = [*DRAWS, *(f"{name}:SPEC" for name in CONTROLS)]
            near = did_you_mean(self.init, known)
            raise ValueError(f"there is no init={self.init}.{near} There are: {', '.join(known)}")

    def files(self) -> Iterator[Path]:
        """Those of the source that it is a control for."""
        _, colon, specification = self.init.partition(":")
        if colon:
            yield from files_behind(sources.parse(strip_parentheses(specification)))

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Draw the vectors, decided by the seed."""
        if request.vocabulary is None:
            raise EmbeddingError("the source 'random' knows no words of its own: it needs those of a text, as "
                                 "`vecformer run` and load_vectors(…, vocabulary=words) give it")
        words = tuple(request.vocabulary)
        generator = np.random.default_rng(request.seed)
        kind, colon, specification = self.init.partition(":")
        if colon:
            rows = known_rows(strip_parentheses(specification), request)
            vectors, name = CONTROLS[kind](rows, len(words), generator), f"random,init={self.init}"
        else:
            vectors, name = DRAWS[kind](len(words), self.dim or request.dim, generator), "random"
        return EmbeddingTable(words, vectors, (RANDOM,) * len(words), name)


def known_rows(specification: str, request: VectorRequest) -> Vectors:
    """The vectors that a source has for the words of the vocabulary.

    Raises:
        EmbeddingError: if it has fewer than two.
    """
    table = sources.load(specification, replace(request, extra_words=frozenset(), n_frequent=0))
    found = table.lookup(request.vocabulary or (), request.unknown)
    rows = np.asarray(found.vectors[[is_known(why) for why in found.provenance]])
    if len(rows) < 2:
        raise EmbeddingError(f"a control for {specification!r} needs a text of which it knows two words or more")
    return rows


def _xavier(n: int, dim: int, random: np.random.Generator) -> Vectors:
    bound = (6 / (n + dim)) ** 0.5
    return random.uniform(-bound, bound, (n, dim)).astype(np.float32)


def _normal(n: int, dim: int, random: np.random.Generator) -> Vectors:
    return random.standard_normal((n, dim)).astype(np.float32)


def _uniform(n: int, dim: int, random: np.random.Generator) -> Vectors:
    return random.uniform(-1.0, 1.0, (n, dim)).astype(np.float32)


def _matched(rows: Vectors, n: int, random: np.random.Generator) -> Vectors:
    drawn = random.standard_normal((n, rows.shape[1])) * float(rows.std()) + float(rows.mean())
    return drawn.astype(np.float32)


def _covariance(rows: Vectors, n: int, random: np.random.Generator) -> Vectors:
    covariance = np.atleast_2d(np.cov(rows.astype(np.float64), rowvar=False, ddof=0))
    variances, directions = np.linalg.eigh(covariance)
    drawn = random.standard_normal((n, rows.shape[1])) * np.sqrt(np.maximum(variances, 0))
    mixed: Vectors = (drawn @ directions.T + rows.mean(axis=0, dtype=np.float64)).astype(np.float32)
    return mixed


def _shuffled(rows: Vectors, n: int, random: np.random.Generator) -> Vectors:
    """Every row once, in another order; where words outnumber the rows, rows are taken again."""
    order = np.concatenate([random.permutation(len(rows)) for _ in range(-(-n // len(rows)))])
    return np.ascontiguousarray(rows[order[:n]])


DRAWS: dict[str, Draw] = {"xavier": _xavier, "normal": _normal, "uniform": _uniform}
CONTROLS: dict[str, Control] = {"matched": _matched, "covariance": _covariance, "shuffled": _shuffled}
