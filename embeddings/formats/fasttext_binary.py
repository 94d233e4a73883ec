"""Facebook's fastText models (``.bin``): vectors of words and of hashed character n-grams.

Format: ``FastText::saveModel`` of https://github.com/facebookresearch/fastText (file versions 11 and 12): magic number,
arguments, dictionary, input matrix (one row per word, then one row per n-gram bucket), output matrix. The output
matrix is needed for training only and is not read.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import Format, RowSelection, VectorRows, is_encodable, select, vector_format
from embeddings.table import EmbeddingTable
from embeddings.table.ngram_hashes import ngram_buckets
from embeddings.table.oov_composers import NgramVectors
from embeddings.table.row_maps import Vectors

MAGIC = struct.pack("<i", 793712314)
VERSIONS = (11, 12)
SUPERVISED = 3
ARGUMENTS = struct.Struct("<12id")  # dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate t
DICTIONARY = struct.Struct("<3i2q")  # size, words, labels, tokens, pruned n-grams
ENTRY = struct.Struct("<qb")  # after the word and a zero byte: count, and 0 for a word or 1 for a label
MATRIX = struct.Struct("<?2q")  # is quantised, rows, columns
MAX_WORD = 2**16
MAX_N = 100
BLOCK = 2**20
WORDS_PER_BATCH = 4096
MAX_CORRECTIONS = 50


@dataclass(frozen=True)
class Header:
    """Sizes and arguments in the header of a model."""

    dim: int
    n_buckets: int
    min_n: int
    max_n: int
    n_entries: int
    n_words: int
    word_ngrams: int
    loss: int
    model: int


@vector_format("fastText model")
class FastTextBinary(Format):
    """Models of fastText with the n-gram vectors, which compose any word."""

    suffixes = (".bin",)
    keeps_composer = True

    def matches(self, stream: Stream, start: bytes) -> bool:
        """Check the signature."""
        return start.startswith(MAGIC)

    def read(self, stream: Stream, selection: RowSelection) -> VectorRows:
        """Read the vectors of the selected words: the mean of a word's own row and the rows of its n-grams.

        They equal gensim's bit for bit, including ``</s>``, which gensim composes like any word. The n-gram rows of an
        uncompressed file are memory-mapped.
        """
        return _read(stream, selection)

    def can_write(self, table: EmbeddingTable) -> bool:
        """Require n-gram vectors."""
        return isinstance(table.composer, NgramVectors) and len(table.composer.vectors) > 0

    def can_hold(self, word: str, dim: int, suffix: str) -> bool:
        """Refuse words with a zero byte."""
        return "\0" not in word and is_encodable(word)

    def write(self, table: EmbeddingTable, path: Path) -> None:
        """Write a model; counts by rank, training arguments and a zero output matrix replace what is not known."""
        composer = table.composer
        assert isinstance(composer, NgramVectors)
        n_buckets = len(composer.vectors)
        with path.open("wb") as file:
            file.write(MAGIC + struct.pack("<i", VERSIONS[-1]))
            file.write(ARGUMENTS.pack(table.dim, 5, 5, 1, 5, 1, 2, 2, n_buckets, composer.min_n, composer.max_n, 100,
                                      1e-4))
            file.write(DICTIONARY.pack(len(table), len(table), 0, sum(range(len(table) + 1)), -1))
            for rank, word in enumerate(table.words):
                file.write(word.encode() + b"\0" + ENTRY.pack(len(table) - rank, 0))
            file.write(MATRIX.pack(False, len(table) + n_buckets, table.dim))
            file.write(own_rows(table.words, table.vectors, composer).astype("<f4").tobytes())
            file.write(composer.vectors.astype("<f4").tobytes())
            file.write(MATRIX.pack(False, len(table), table.dim))
            file.write(np.zeros(table.vectors.size, "<f4").tobytes())


def _read(stream: Stream, selection: RowSelection) -> VectorRows:
    reader = Reader(stream)
    header = read_header(reader)
    words = _words(reader, header, selection)
    chosen = select(words, selection)
    for _ in words:  # skip words beyond the limit; the matrix follows them
        pass
    quantised, n_rows, dim = MATRIX.unpack(reader.take(MATRIX.size, "the header of the matrix"))
    if quantised:
        raise VectorFileError(f"{stream.name}: a quantised model (.ftz), which has no vectors; use the .bin file "
                              "that it was made from")
    if dim != header.dim or n_rows != header.n_words + header.n_buckets:
        raise VectorFileError(f"{stream.name}: a matrix of {n_rows} x {dim}, but the header announces "
                              f"{header.n_words} words, {header.n_buckets} n-gram buckets and dimension {header.dim}")
    own, ngrams = _matrix(reader, header, chosen)
    if not header.n_buckets or not header.max_n:  # without buckets, or with buckets of word n-grams only
        return VectorRows(list(chosen), own)
    composer = NgramVectors(ngrams, min_n=header.min_n, max_n=header.max_n)
    return VectorRows(list(chosen), compose_words(list(chosen), own, composer), composer)


class Reader:
    """A stream with a buffer, in which the end of each of millions of words is searched."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self._block, self._start = stream, b"", 0

    def take(self, n: int, what: str) -> bytes:
        """Read ``n`` bytes."""
        taken = self._block[self._start : self._start + n]
        self._start += len(taken)
        return taken if len(taken) == n else taken + self.stream.read_exactly(n - len(taken), what)

    def entry(self) -> bytes:
        """Read one entry of the dictionary: the word, a zero byte, count and type."""
        end = self._block.find(b"\0", self._start)
        if end < 0 or len(self._block) < end + 1 + ENTRY.size:
            end = self._refill()
        start, self._start = self._start, end + 1 + ENTRY.size
        return self._block[start : self._start]

    def _refill(self) -> int:
        """Extend the buffer until it holds a whole entry, and return the position of its zero byte."""
        self._block, self._start = self._block[self._start :], 0
        while True:
            more = self.stream.file.read(BLOCK)
            self._block += more
            end = self._block.find(b"\0", 0, MAX_WORD)
            if end >= 0 and len(self._block) >= end + 1 + ENTRY.size:
                return end
            if not more or (end < 0 and len(self._block) >= MAX_WORD):
                raise VectorFileError(f"{self.stream.name}: broken or truncated in the dictionary; download or write "
                                      "it again")

    def seek(self, place: int) -> None:
        """Continue at a position of an uncompressed file."""
        self._block, self._start = b"", 0
        self.stream.file.seek(place)

    def tell(self) -> int:
        """Return the number of bytes read so far."""
        return self.stream.file.tell() - (len(self._block) - self._start)


def read_header(reader: Reader) -> Header:
    """Read the arguments and the sizes of the dictionary.

    Raises:
        VectorFileError: if the file is not a model of a known version, is broken, or is pruned.
    """
    name = reader.stream.name
    start = reader.take(8, "the header")
    version = int.from_bytes(start[4:], "little", signed=True)
    if start[:4] != MAGIC or version not in VERSIONS:
        raise VectorFileError(f"{name}: not a fastText model of file version 11 or 12")
    arguments = ARGUMENTS.unpack(reader.take(ARGUMENTS.size, "the arguments"))
    dim, model, (n_buckets, min_n, max_n) = arguments[0], arguments[7], arguments[8:11]
    n_entries, n_words, _n_labels, _n_tokens, n_pruned = DICTIONARY.unpack(
        reader.take(DICTIONARY.size, "the header of the dictionary"))
    if n_pruned > 0:
        raise VectorFileError(f"{name}: a pruned model, which lacks most n-grams; use the .bin file that it was made "
                              "from")
    if version == 11 and model == SUPERVISED:
        max_n = 0  # as in fastText's own reader
    if dim < 1 or n_buckets < 0 or not 0 <= n_words <= n_entries or min_n < 0 or not 0 <= max_n <= MAX_N:
        raise VectorFileError(f"{name}: broken fastText model: {n_words} words of {n_entries} entries, dimension "
                              f"{dim}, {n_buckets} buckets for n-grams of {min_n} to {max_n} characters")
    return Header(dim, n_buckets, min_n, max_n, n_entries, n_words, *arguments[5:8])


def _words(reader: Reader, header: Header, selection: RowSelection) -> Iterator[str]:
    """Yield the words of the dictionary, without the labels of a classifier."""
    n_words = 0
    for number in range(header.n_entries):
        if not number % WORDS_PER_BATCH:
            selection.progress(reader.stream.progress())
        entry = reader.entry()
        _count, is_label = ENTRY.unpack(entry[-ENTRY.size :])
        if not is_label:
            n_words += 1
            yield entry[: -ENTRY.size - 1].decode("utf-8", errors="backslashreplace")  # as gensim: equal n-grams
    if n_words != header.n_words:
        raise VectorFileError(f"{reader.stream.name}: {n_words} words in the dictionary, but the header announces "
                              f"{header.n_words}")


def _matrix(reader: Reader, header: Header, chosen: Mapping[str, int]) -> tuple[Vectors, Vectors]:
    """Return the rows of the chosen words, and the rows of the n-grams."""
    path, width = reader.stream.path, 4 * header.dim
    if path is None:
        rows = set(chosen.values())
        own = [raw for row in range(header.n_words) if (raw := reader.take(width, "the words")) and row in rows]
        ngrams = reader.take(header.n_buckets * width, "the n-grams")
        return (np.frombuffer(b"".join(own), "<f4").reshape(-1, header.dim),
                np.frombuffer(ngrams, "<f4").reshape(-1, header.dim))
    shape, start = (header.n_words + header.n_buckets, header.dim), reader.tell()
    if start + math.prod(shape) * 4 > path.stat().st_size:
        raise VectorFileError(f"{path}: truncated in the matrix; download or write it again")
    if not shape[0]:
        empty = np.zeros(shape, np.float32)
        return empty, empty
    matrix = np.asarray(np.memmap(path, "<f4", "r", offset=start, shape=shape))
    return matrix[list(chosen.values())], matrix[header.n_words :]


def compose_words(words: Sequence[str], own: Vectors, ngrams: NgramVectors) -> Vectors:
    """Return the mean of each word's own row and the rows of its n-grams, summed in gensim's order.

    Args:
        words: listed words.
        own: their own rows. *Shape:* ``(n_words, dim)``.
        ngrams: the rows of the n-grams.
    """
    return np.concatenate([np.zeros((0, own.shape[1]), np.float32), *(
        _mean(own[batch], buckets, ngrams.vectors) for batch, buckets in _batches(words, ngrams)
    )])


def own_rows(words: Sequence[str], vectors: Vectors, ngrams: NgramVectors) -> Vectors:
    """Return the words' own rows, from which :func:`compose_words` makes their vectors, bit for bit where possible.

    Because of rounding the exact solution may not reproduce the vector. It is corrected iteratively by a varying
    fraction of the remaining error, which avoids oscillation.

    Args:
        words: listed words.
        vectors: their vectors. *Shape:* ``(n_words, dim)``.
        ngrams: the rows of the n-grams.
    """
    own = np.zeros(vectors.shape, dtype=np.float32)
    for batch, buckets in _batches(words, ngrams):
        target, rows = vectors[batch], np.arange(len(buckets))
        guess = own[batch]
        for step in range(MAX_CORRECTIONS):
            chosen = [buckets[row] for row in rows]
            error = target[rows] - _mean(guess[rows], chosen, ngrams.vectors)
            fraction = 1 if step % 2 == 0 else 0.5 + 0.5 * step / MAX_CORRECTIONS
            n_summed = np.array([[len(of_word) + 1] for of_word in chosen], np.float32)
            guess[rows] += np.float32(fraction) * error * n_summed
            rows = rows[error.any(axis=1)]
            if not len(rows):
                break
    return own


def _batches(words: Sequence[str], ngrams: NgramVectors) -> Iterator[tuple[slice, list[list[int]]]]:
    """Yield slices of the words, with the n-gram buckets of each word."""
    for start in range(0, len(words), WORDS_PER_BATCH):
        batch = slice(start, start + WORDS_PER_BATCH)
        yield batch, ngram_buckets(words[batch], ngrams.min_n, ngrams.max_n, len(ngrams.vectors))


def _mean(own: Vectors, buckets: Sequence[Sequence[int]], ngrams: Vectors) -> Vectors:
    counts = np.array([len(of_word) for of_word in buckets])
    with np.errstate(over="ignore", invalid="ignore"):
        mean: Vectors = _sum(own, buckets, ngrams) / (counts + 1).astype(np.float32)[:, None]
        for row in np.flatnonzero(~np.isfinite(mean).all(axis=1)).tolist():  # the sum is too large for float32
            mean[row] = np.mean([own[row], *ngrams[buckets[row]]], axis=0, dtype=np.float64)
    return mean


def _sum(own: Vectors, buckets: Sequence[Sequence[int]], ngrams: Vectors) -> Vectors:
    total = np.array(own, dtype=np.float32)
    counts = np.array([len(of_word) for of_word in buckets])
    for place in range(counts.max()):
        rows = np.flatnonzero(counts > place).tolist()
        total[rows] += ngrams[[buckets[row][place] for row in rows]]
    return total
