"""Random vectors: the baseline for other sources, and controls that have some statistics of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from embeddings.errors import EmbeddingError
from embeddings.request import Origin, VectorRequest
from embeddings.specification import sources
from embeddings.specification.grammar import strip_parentheses
from embeddings.specification.suggest import did_you_mean
from embeddings.table import EmbeddingTable
from embeddings.table.moments import deviation, mean
from embeddings.table.oov_policy import RANDOM, is_known
from embeddings.table.row_maps import Vectors

Draw = Callable[[int, int, np.random.Generator], Vectors]
Control = Callable[[Vectors, int, np.random.Generator], Vectors]


@sources.source("random")
@dataclass(frozen=True)
class Random:
    """Draws a random vector for each word of the training text: the baseline, or a control for another source.

    The controls ``init=matched:SPEC``, ``covariance:SPEC`` and ``shuffled:SPEC`` have the dimension of the source SPEC
    and its scale, its covariance, or its rows in random order. An advantage of SPEC over them is not due to scale or
    geometry. Put a SPEC with options or ``+`` in parentheses.
    """

    reads_tokens: ClassVar[bool] = True
    example: ClassVar[str] = "random,init=shuffled:(glove,limit=100000)"

    dim: Annotated[int | None, Field(ge=1, description=(
        "dimension of the vectors, such as 100; default: the model's, or SPEC's"))] = None
    init: Annotated[str, Field(description=(
        "distribution: xavier (uniform, Glorot & Bengio 2010), normal (standard deviation 1), uniform (-1 to 1), "
        "matched:SPEC (normal, mean and standard deviation of SPEC's entries), covariance:SPEC (normal, SPEC's mean "
        "vector and covariance) or shuffled:SPEC (SPEC's rows in random order)"))] = "xavier"

    def __post_init__(self) -> None:
        kind, colon, specification = self.init.partition(":")
        if colon and kind in CONTROLS:
            sources.parse(strip_parentheses(specification))
            if self.dim is not None:
                raise ValueError(f"dim={self.dim} cannot be combined with init={self.init}, which has that source's "
                                 "dimension: leave out dim=")
        elif self.init not in DRAWS:
            known = [*DRAWS, *(f"{name}:SPEC" for name in CONTROLS)]
            near = did_you_mean(self.init, known)
            raise ValueError(f"no initialisation is called {self.init!r}.{near} There are: {', '.join(known)}")

    def files(self) -> Iterable[Path]:
        """Return the files of the source that this is a control for."""
        _, colon, specification = self.init.partition(":")
        return sources.parse(strip_parentheses(specification)).files() if colon else ()

    def origins(self) -> list[Origin]:
        """Return random numbers, and the origins of the source that this is a control for."""
        _, colon, specification = self.init.partition(":")
        controlled = sources.parse(strip_parentheses(specification)).origins() if colon else ()
        return [Origin("random numbers", "none is needed"), *controlled]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Draw the vectors; the seed determines them."""
        if request.vocabulary is None:
            raise EmbeddingError("the source 'random' has no words: use it in `vecformer run`, or pass the words to "
                                 "load_vectors(…, vocabulary=words)")
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
    """Return the vectors that a source has for the words of the vocabulary.

    Raises:
        EmbeddingError: if it has fewer than two.
    """
    table = sources.load(specification, replace(request, extra_words=frozenset(), n_frequent=0))
    found = table.lookup(request.vocabulary or (), request.unknown)
    rows = np.asarray(found.vectors[[is_known(why) for why in found.provenance]])
    if len(rows) < 2:
        raise EmbeddingError(f"a control for {specification!r} needs at least two words of the text that this source "
                             "has; use more text or another source")
    return rows


def _xavier(n: int, dim: int, random: np.random.Generator) -> Vectors:
    bound = (6 / (n + dim)) ** 0.5
    return random.uniform(-bound, bound, (n, dim)).astype(np.float32)


def _normal(n: int, dim: int, random: np.random.Generator) -> Vectors:
    return random.standard_normal((n, dim)).astype(np.float32)


def _uniform(n: int, dim: int, random: np.random.Generator) -> Vectors:
    return random.uniform(-1.0, 1.0, (n, dim)).astype(np.float32)


def _matched(rows: Vectors, n: int, random: np.random.Generator) -> Vectors:
    drawn = random.standard_normal((n, rows.shape[1])) * float(deviation(rows)) + float(mean(rows))
    return drawn.astype(np.float32)


def _covariance(rows: Vectors, n: int, random: np.random.Generator) -> Vectors:
    covariance = np.atleast_2d(np.cov(rows.astype(np.float64), rowvar=False, ddof=0))
    variances, directions = np.linalg.eigh(covariance)
    drawn = random.standard_normal((n, rows.shape[1])) * np.sqrt(np.maximum(variances, 0))
    mixed: Vectors = (drawn @ directions.T + rows.mean(axis=0, dtype=np.float64)).astype(np.float32)
    return mixed


def _shuffled(rows: Vectors, n: int, random: np.random.Generator) -> Vectors:
    """Permute the rows; if there are more words than rows, permute them again as often as needed."""
    order = np.concatenate([random.permutation(len(rows)) for _ in range(-(-n // len(rows)))])
    return np.ascontiguousarray(rows[order[:n]])


DRAWS: dict[str, Draw] = {"xavier": _xavier, "normal": _normal, "uniform": _uniform}
CONTROLS: dict[str, Control] = {"matched": _matched, "covariance": _covariance, "shuffled": _shuffled}
