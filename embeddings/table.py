"""The value that stage one hands to stage two: words, their vectors, and why each word has the vector it has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from embeddings.errors import EmbeddingError, VectorFileError
from embeddings.ngrams import NgramVectors
from embeddings.unknown import EXACT, FOLDED, MISSING, RANDOM, SUBWORD, draw_like, is_known, spellings

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """Words and their vectors, row by row; never changed after it is made.

    Attributes:
        words: distinct words, one a row.
        vectors: float32, read-only. *Shape:* ``(n_words, dim)``.
        provenance: for each row why it has its vector: ``exact``, ``folded``, ``subword``, ``random`` or
            ``missing``; parts of a concatenation are joined by ``+``.
        source: the specification that made it, such as ``glove:vectors.txt``.
        transforms: what was done to the vectors since, in order.
        ngrams: character n-gram vectors that give words outside the table a vector (fastText); empty for most sources.

    Raises:
        EmbeddingError: if words, rows and provenance are not equally many, a word stands twice, or a value is not
            finite.
    """

    words: tuple[str, ...]
    vectors: Vectors
    provenance: tuple[str, ...]
    source: str
    transforms: tuple[str, ...] = ()
    ngrams: tuple[NgramVectors, ...] = ()

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2:
            raise EmbeddingError(f"vectors must have two axes, not {self.vectors.ndim}, from {self.source}")
        if len(self.words) != len(self.vectors):
            raise EmbeddingError(f"{len(self.words)} words but {len(self.vectors)} rows of vectors, from {self.source}")
        if len(self.words) != len(self.provenance):
            raise EmbeddingError(
                f"{len(self.words)} words but {len(self.provenance)} notes of provenance, from {self.source}"
            )
        if len(self.index) != len(self.words):
            raise EmbeddingError(f"{len(self.words) - len(self.index)} words stand twice, from {self.source}")
        if not np.isfinite(self.vectors).all():
            row = int(np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))[0])
            raise EmbeddingError(f"the vector of {self.words[row]!r} is not finite, from {self.source}")
        vectors = self.vectors.astype(np.float32, copy=False).view()
        vectors.flags.writeable = False
        object.__setattr__(self, "vectors", vectors)

    @classmethod
    def known(cls, words: Sequence[str], vectors: Vectors, source: str) -> EmbeddingTable:
        """Make a table whose every row is the source's own vector for exactly that word."""
        return cls(tuple(words), vectors, (EXACT,) * len(words), source)

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self.vectors.shape[1])

    @cached_property
    def index(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.index

    def lookup(self, words: Iterable[str]) -> EmbeddingTable:
        """Give each of the words the best vector that this table has for it.

        Tried in turn: the word itself, its other spellings (lower, Capitalised, UPPER), its character n-grams. What is
        left gets a row of zeros with provenance ``missing``.

        Args:
            words: distinct words.

        Returns:
            A table of exactly these words, in this order.
        """
        words = tuple(words)
        vectors = np.zeros((len(words), self.dim), dtype=np.float32)
        provenance = []
        for row, word in enumerate(words):
            why = self._fill(word, vectors[row])
            provenance.append(why)
        return replace(self, words=words, vectors=vectors, provenance=tuple(provenance))

    def _fill(self, word: str, target: Vectors) -> str:
        for spelling in spellings(word):
            found = self.index.get(spelling)
            if found is None:
                continue
            if spelling == word and self.provenance[found] != MISSING:
                target[:] = self.vectors[found]
                return self.provenance[found]
            if is_known(self.provenance[found]):
                target[:] = self.vectors[found]
                return FOLDED
        composed = [part.add_to(word, target) for part in self.ngrams]
        return SUBWORD if any(composed) else MISSING

    def where(self, keep: Iterable[bool]) -> EmbeddingTable:
        """Keep the rows whose entry in ``keep`` is true."""
        rows = np.flatnonzero(np.fromiter(keep, dtype=bool, count=len(self)))
        return replace(
            self,
            words=tuple(self.words[row] for row in rows),
            vectors=self.vectors[rows],
            provenance=tuple(self.provenance[row] for row in rows),
        )

    def filled(self, seed: int) -> EmbeddingTable:
        """Give each ``missing`` row a vector drawn with the mean and spread of the others; it becomes ``random``."""
        missing = np.array([why == MISSING for why in self.provenance], dtype=bool)
        vectors = self.vectors.copy()
        vectors[missing] = draw_like(self.vectors[~missing], int(missing.sum()), np.random.default_rng(seed))
        provenance = tuple(RANDOM if gone else why for gone, why in zip(missing, self.provenance, strict=True))
        return replace(self, vectors=vectors, provenance=provenance)

    def followed_by(self, other: EmbeddingTable) -> EmbeddingTable:
        """Append the rows of another table of the same source whose words this one does not have."""
        rest = other.where(word not in self.index for word in other.words)
        return replace(
            self,
            words=self.words + rest.words,
            vectors=np.concatenate([self.vectors, rest.vectors]),
            provenance=self.provenance + rest.provenance,
        )

    def scaled(self, factor: float) -> EmbeddingTable:
        """Multiply every vector, those composed from n-grams too; recorded in ``transforms``."""
        return replace(
            self,
            vectors=self.vectors * np.float32(factor),
            transforms=(*self.transforms, f"scale={factor:.6g}"),
            ngrams=tuple(part.scaled(factor) for part in self.ngrams),
        )

    def save(self, path: Path) -> None:
        """Write the vectors to ``path`` (safetensors) and everything else, readable, to the ``.json`` beside it."""
        tensors = {"vectors": np.ascontiguousarray(self.vectors)}
        tensors |= {f"ngrams.{i}": np.ascontiguousarray(part.vectors) for i, part in enumerate(self.ngrams)}
        reasons = sorted(set(self.provenance))
        code = {why: number for number, why in enumerate(reasons)}
        tensors["provenance"] = np.array([code[why] for why in self.provenance], dtype=np.uint8)
        save_file(tensors, path)
        described = {
            "source": self.source,
            "transforms": self.transforms,
            "dim": self.dim,
            "n_words": len(self),
            "provenance": reasons,
            "ngrams": [part.describe() for part in self.ngrams],
            "words": self.words,
        }
        path.with_suffix(".json").write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> EmbeddingTable:
        """Read what :meth:`save` wrote.

        Raises:
            VectorFileError: if either of the two files is missing or does not fit the other.
        """
        try:
            described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            tensors = load_file(path)
            reasons = described["provenance"]
            return cls(
                words=tuple(described["words"]),
                vectors=tensors["vectors"],
                provenance=tuple(reasons[code] for code in tensors["provenance"]),
                source=described["source"],
                transforms=tuple(described["transforms"]),
                ngrams=tuple(
                    NgramVectors(vectors=tensors[f"ngrams.{i}"], **part) for i, part in enumerate(described["ngrams"])
                ),
            )
        except EmbeddingError:
            raise
        except Exception as error:
            raise VectorFileError(f"{path}: not a table of word vectors saved by vecformer ({error})") from error
