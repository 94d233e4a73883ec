"""Facebook's fastText classifiers (``.bin`` of ``fasttext supervised``): all parts of the model, for prediction.

Format: as :mod:`embeddings.formats.fasttext_binary`, followed by the output matrix, one row per label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embeddings.compressed_files import open_location
from embeddings.errors import VectorFileError
from embeddings.formats.fasttext_binary import ENTRY, MATRIX, SUPERVISED, Header, Reader, read_header
from embeddings.table.row_maps import Vectors

LABEL_PREFIX = "__label__"
LOSSES = {1: "hierarchical softmax", 2: "negative sampling", 3: "softmax", 4: "one-vs-all"}


@dataclass(frozen=True, eq=False)
class SupervisedModel:
    """A classifier.

    Attributes:
        header: sizes and arguments.
        rows: row of each word, by its bytes.
        labels: names without ``__label__``, the most frequent in training first.
        counts: number of training examples of each label.
        inputs: vectors of words and buckets, float32. *Shape:* ``(n_words + n_buckets, dim)``.
        outputs: float32. *Shape:* ``(n_labels, dim)``.
    """

    header: Header
    rows: dict[bytes, int]
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    inputs: Vectors
    outputs: Vectors

    @property
    def loss(self) -> str:
        """Name of the loss function, a value of :data:`LOSSES`."""
        return LOSSES[self.header.loss]


def read_supervised(path: Path) -> SupervisedModel:
    """Read a classifier; its matrices are memory-mapped.

    Raises:
        VectorFileError: if the file is missing, broken, quantised or compressed, or not a classifier.
    """
    with open_location(path) as stream:
        if stream.path is None:
            raise VectorFileError(f"{path}: a compressed classifier cannot be read; unpack it first")
        reader = Reader(stream)
        header = read_header(reader)
        if header.model != SUPERVISED or header.loss not in LOSSES:
            raise VectorFileError(f"{path}: a fastText model of word vectors, not a classifier; name a .bin file of "
                                  "`fasttext supervised`")
        rows, labels = _dictionary(reader, header)
        inputs = _matrix(reader, header.n_words + header.n_buckets, header.dim, "input", path)
        outputs = _matrix(reader, len(labels), header.dim, "output", path)
    return SupervisedModel(header, rows, tuple(name.removeprefix(LABEL_PREFIX) for name, _ in labels),
                           tuple(count for _, count in labels), inputs, outputs)


def _dictionary(reader: Reader, header: Header) -> tuple[dict[bytes, int], list[tuple[str, int]]]:
    """Return the row of each word; name and count of each label."""
    rows: dict[bytes, int] = {}
    labels: list[tuple[str, int]] = []
    for _ in range(header.n_entries):
        entry = reader.entry()
        count, is_label = ENTRY.unpack(entry[-ENTRY.size :])
        name = entry[: -ENTRY.size - 1]
        if is_label:
            labels.append((name.decode("utf-8", errors="replace"), count))
        else:
            rows.setdefault(name, len(rows))
    if len(rows) != header.n_words or not labels:
        raise VectorFileError(f"{reader.stream.name}: broken classifier: {len(rows)} words and {len(labels)} labels, "
                              f"but the header announces {header.n_words} words; download or write it again")
    return rows, labels


def _matrix(reader: Reader, n_rows: int, dim: int, what: str, path: Path) -> Vectors:
    is_quantised, found_rows, found_dim = MATRIX.unpack(reader.take(MATRIX.size, f"the header of the {what} matrix"))
    if is_quantised:
        raise VectorFileError(f"{path}: a quantised model (.ftz); use the .bin file that it was made from")
    if (found_rows, found_dim) != (n_rows, dim):
        raise VectorFileError(f"{path}: an {what} matrix of {found_rows} x {found_dim}, but the header announces "
                              f"{n_rows} x {dim}; download or write it again")
    start, size = reader.tell(), math.prod((n_rows, dim)) * 4
    if start + size > path.stat().st_size:
        raise VectorFileError(f"{path}: truncated in the {what} matrix; download or write it again")
    reader.seek(start + size)
    return np.asarray(np.memmap(path, "<f4", "r", offset=start, shape=(n_rows, dim)))
