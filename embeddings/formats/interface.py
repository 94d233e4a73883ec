"""The interface of a vector file format: detection, reader and writer, registered under a name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.progress import FractionCallback, ignore_fraction
from embeddings.specification.plugins import Registry
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import take_rows
from embeddings.table.oov_composers import Composer
from embeddings.table.paths import is_utf8
from embeddings.table.row_maps import Vectors

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class RowSelection:
    """The rows of a file to read.

    Attributes:
        words: the requested words, in every form in which a file may list them; None for all words.
        n_frequent: number of leading rows that are selected as well, since files list frequent words first.
        limit: maximum number of rows to read.
        progress: progress callback.
        trust_pickle: allow pickle files, which can execute arbitrary code.
    """

    words: frozenset[str] | None = None
    n_frequent: int = 0
    limit: int | None = None
    progress: FractionCallback = ignore_fraction
    trust_pickle: bool = False

    def keep(self, word: str, row: int) -> bool:
        """Return whether a row is selected, given its word and its number."""
        return self.words is None or row < self.n_frequent or word in self.words

    @cached_property
    def encoded(self) -> frozenset[bytes] | None:
        """UTF-8 bytes of the requested words, so that other rows can be skipped without decoding.

        None if a word contains the replacement character, which represents any invalid bytes.
        """
        if self.words is None or any(REPLACEMENT in word for word in self.words):
            return None
        return frozenset(word.encode("utf-8", errors="replace") for word in self.words)


class VectorRows(NamedTuple):
    """The selected rows of a file.

    Attributes:
        words: distinct, in the order of the file; of a repeated word the first row.
        vectors: float32. *Shape:* ``(n_words, dim)``.
        composer: composes vectors of words that are not listed, if the file has n-grams (fastText's ``.bin``).
        provenance: provenance of each row, if the file records it (vecformer's own tables).
        transforms: transforms of the vectors, if the file records them.
    """

    words: list[str]
    vectors: Vectors
    composer: Composer | None = None
    provenance: tuple[str, ...] | None = None
    transforms: tuple[str, ...] = ()


class Format:
    """A vector file format.

    A subclass is one file of this folder, or of another package (entry point ``vecformer.formats``), and registers
    itself with ``@vector_format("name")``.

    Attributes:
        name: set by :func:`vector_format`.
        priority: formats are tried in ascending order of priority, those with equal priority by name. A format with a
            signature at the start of the file has 0; the text format, which accepts everything, comes last.
        suffixes: suffixes of the files that the format writes; empty for a format that is read only.
        is_cached: keep the rows that were read from a large file in the cache, because parsing takes long.
        keeps_composer: files store the n-gram vectors of a table.
    """

    name: ClassVar[str]
    priority: ClassVar[int] = 0
    suffixes: ClassVar[tuple[str, ...]] = ()
    is_cached: ClassVar[bool] = False
    keeps_composer: ClassVar[bool] = False

    def matches(self, stream: Stream, start: bytes) -> bool:
        """Return whether a file has this format.

        Args:
            stream: the open file; nothing may be read from it.
            start: its first bytes, at most 64 KiB.
        """
        raise NotImplementedError

    def read(self, stream: Stream, selection: RowSelection) -> VectorRows:
        """Read the selected rows.

        Raises:
            VectorFileError: if the file is broken or truncated; the message names the line or row.
        """
        raise NotImplementedError

    def can_write(self, table: EmbeddingTable) -> bool:
        """Return whether this format is the right one for a table, of several formats with the same suffix."""
        return True

    def can_hold(self, word: str, dim: int, suffix: str) -> bool:
        """Return whether a word would be read back unchanged."""
        return is_encodable(word)

    def write(self, table: EmbeddingTable, path: Path) -> None:
        """Write a table to a new file."""
        raise NotImplementedError


class MemoryMappedFormat(Format):
    """A format whose files are memory-mapped or belong to other files, so that they cannot be read compressed."""

    def read(self, stream: Stream, selection: RowSelection) -> VectorRows:
        """Read the selected rows of an uncompressed file."""
        if stream.path is None:
            raise VectorFileError(f"{stream.name}: a {self.name} file cannot be read from an archive; unpack it first")
        return self.read_path(stream.path, selection)

    def read_path(self, path: Path, selection: RowSelection) -> VectorRows:
        """Read the selected rows of a file; raises as :meth:`read`."""
        raise NotImplementedError


FORMATS = Registry("embeddings.formats", "vector file format", VectorFileError, "vecformer.formats")

F = TypeVar("F", bound=type[Format])


def vector_format(name: str) -> Callable[[F], F]:
    """Decorate a :class:`Format` to register it."""
    def registered(cls: F) -> F:
        cls.name = name
        return FORMATS.register(name)(cls)

    return registered


def select(listed: Iterable[str], selection: RowSelection) -> dict[str, int]:
    """Return the selected words of a list and their row numbers; of a repeated word the first row."""
    chosen: dict[str, int] = {}
    for row, word in enumerate(islice(listed, selection.limit)):
        if word not in chosen and selection.keep(word, row):
            chosen[word] = row
    return chosen


def gather(matrix: NDArray[Any], chosen: dict[str, int]) -> Vectors:
    """Return the chosen rows as float32; a view if all rows are chosen, so that a memory map is not read."""
    if len(chosen) == len(matrix) and matrix.dtype == np.float32:
        return matrix
    return take_rows(matrix, np.fromiter(chosen.values(), np.intp, len(chosen)))


def is_encodable(word: str) -> bool:
    """Return whether a word can be written as UTF-8 (it contains no surrogate code point)."""
    return is_utf8(word)
