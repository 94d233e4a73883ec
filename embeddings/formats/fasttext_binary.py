"""Facebook's fastText models (``.bin``): vectors of words and of hashed character n-grams.

Format: ``FastText::saveModel`` of https://github.com/facebookresearch/fastText (file versions 11 and 12): magic number,
arguments, dictionary, input matrix (a row a word, then a row a bucket of n-grams), output matrix. What the last holds
is only of use in training, and is not read.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embeddings.compressed_files import Stream
from embeddings.errors import VectorFileError
from embeddings.formats.interface import RowSelection, VectorRows, select
from embeddings.table.oov_composers import NgramVectors
from embeddings.table.row_maps import Vectors

MAGIC = struct.pack("<i", 793712314)
VERSIONS = (11, 12)
SUPERVISED = 3
ARGUMENTS = struct.Struct("<12id")  # dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate t
DICTIONARY = struct.Struct("<3i2q")  # size, words, labels, tokens, pruned n-grams
ENTRY = struct.Struct("<qb")  # after the word and a zero byte: its count, and 0 for a word or 1 for a label
MATRIX = struct.Struct("<?2q")  # whether quantised, rows, columns
MAX_WORD = 2**16
MAX_N = 100
BLOCK = 2**20
WORDS_A_BATCH = 4096
MAX_CORRECTIONS = 50


@dataclass(frozen=True)
class Header:
    """What stands before the dictionary's entries."""

    dim: int
    n_buckets: int
    min_n: int
    max_n: int
    n_entries: int
    n_words: int


def read_fasttext_binary(stream: Stream, selection: RowSelection) -> VectorRows:
    """Read the selection words' vectors: the mean of a word's own row and its n-grams', as fastText composes them.

    They equal gensim's to the last bit, down to ``</s>``, which gensim composes like any word. The n-gram rows of a
    plain file stay in it, mapped into memory.

    Raises:
        VectorFileError: if the file is quantised, pruned, broken or cut off.
    """
    reader = _Reader(stream)
    header = _read_header(reader)
    words = _words(reader, header, selection)
    chosen = select(words, selection)
    for _ in words:  # those beyond the limit: the matrix comes after them
        pass
    quantised, n_rows, dim = MATRIX.unpack(reader.take(MATRIX.size, "the header of the matrix"))
    if quantised:
        raise VectorFileError(f"{stream.name}: a quantised model (.ftz), which keeps no vectors; use the .bin that it "
                              "was made from")
    if dim != header.dim or n_rows != header.n_words + header.n_buckets:
        raise VectorFileError(f"{stream.name}: a matrix of {n_rows} x {dim}, where {header.n_words} words, "
                              f"{header.n_buckets} n-gram buckets and width {header.dim} were announced")
    own, ngrams = _matrix(reader, header, chosen)
    if not header.n_buckets:
        return VectorRows(list(chosen), own)
    composer = NgramVectors(ngrams, min_n=header.min_n, max_n=header.max_n)
    return VectorRows(list(chosen), compose_words(list(chosen), own, composer), composer)


class _Reader:
    """A stream with the block that was read last: words are looked for in it, of which there can be millions."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self._block, self._start = stream, b"", 0

    def take(self, n: int, what: str) -> bytes:
        """The next ``n`` bytes."""
        taken = self._block[self._start : self._start + n]
        self._start += len(taken)
        return taken if len(taken) == n else taken + self.stream.read_exactly(n - len(taken), what)

    def entry(self) -> bytes:
        """A word of the dictionary up to its zero byte, and what comes behind that."""
        end = self._block.find(b"\0", self._start)
        if end < 0 or len(self._block) < end + 1 + ENTRY.size:
            end = self._refill()
        start, self._start = self._start, end + 1 + ENTRY.size
        return self._block[start : self._start]

    def _refill(self) -> int:
        """Read on until a whole entry is there; where its zero byte is."""
        self._block, self._start = self._block[self._start :], 0
        while True:
            more = self.stream.file.read(BLOCK)
            self._block += more
            end = self._block.find(b"\0", 0, MAX_WORD)
            if end >= 0 and len(self._block) >= end + 1 + ENTRY.size:
                return end
            if not more or (end < 0 and len(self._block) >= MAX_WORD):
                raise VectorFileError(f"{self.stream.name}: broken or cut off in the dictionary; fetch or write it "
                                      "again")

    def tell(self) -> int:
        """How many bytes were taken so far."""
        return self.stream.file.tell() - (len(self._block) - self._start)


def _read_header(reader: _Reader) -> Header:
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
        raise VectorFileError(f"{name}: a pruned model, most of whose n-grams are gone; use the .bin that it was made "
                              "from")
    if version == 11 and model == SUPERVISED:
        max_n = 0  # as fastText itself reads such files
    if dim < 1 or n_buckets < 0 or not 0 <= n_words <= n_entries or min_n < 0 or not 0 <= max_n <= MAX_N:
        raise VectorFileError(f"{name}: broken fastText model: {n_words} words of {n_entries} entries, width {dim}, "
                              f"{n_buckets} buckets for n-grams of {min_n} to {max_n} characters")
    return Header(dim, n_buckets, min_n, max_n, n_entries, n_words)


def _words(reader: _Reader, header: Header, selection: RowSelection) -> Iterator[str]:
    """The words of the dictionary, without the labels of a classifier."""
    n_words = 0
    for number in range(header.n_entries):
        if not number % WORDS_A_BATCH:
            selection.tell(reader.stream.share())
        entry = reader.entry()
        _count, is_label = ENTRY.unpack(entry[-ENTRY.size :])
        if not is_label:
            n_words += 1
            yield entry[: -ENTRY.size - 1].decode("utf-8", errors="backslashreplace")  # gensim's way: n-grams agree
    if n_words != header.n_words:
        raise VectorFileError(f"{reader.stream.name}: {n_words} words in the dictionary, but {header.n_words} were "
                              "announced")


def _matrix(reader: _Reader, header: Header, chosen: Mapping[str, int]) -> tuple[Vectors, Vectors]:
    """The chosen words' own rows, and the n-grams' rows."""
    path, width = reader.stream.path, 4 * header.dim
    if path is None:
        rows = set(chosen.values())
        own = [raw for row in range(header.n_words) if (raw := reader.take(width, "the words")) and row in rows]
        ngrams = reader.take(header.n_buckets * width, "the n-grams")
        return (np.frombuffer(b"".join(own), "<f4").reshape(-1, header.dim),
                np.frombuffer(ngrams, "<f4").reshape(-1, header.dim))
    shape, start = (header.n_words + header.n_buckets, header.dim), reader.tell()
    if start + math.prod(shape) * 4 > path.stat().st_size:
        raise VectorFileError(f"{path}: cut off in the matrix; fetch or write it again")
    if not shape[0]:
        empty = np.zeros(shape, np.float32)
        return empty, empty
    matrix = np.asarray(np.memmap(path, "<f4", "r", offset=start, shape=shape))
    return matrix[list(chosen.values())], matrix[header.n_words :]


def compose_words(words: Sequence[str], own: Vectors, ngrams: NgramVectors) -> Vectors:
    """The mean of each word's own row and its n-grams' rows, added up in gensim's order.

    Args:
        words: listed words.
        own: their own rows. *Shape:* ``(n_words, dim)``.
        ngrams: the n-grams' rows.
    """
    return np.concatenate([np.zeros((0, own.shape[1]), np.float32), *(
        _mean(own[batch], buckets, ngrams.vectors) for batch, buckets in _batches(words, ngrams)
    )])


def own_rows(words: Sequence[str], vectors: Vectors, ngrams: NgramVectors) -> Vectors:
    """The words' own rows, from which :func:`composed` makes their vectors: to the last bit where such rows are found.

    Rounding keeps the obvious own row from giving quite the vector, so it is corrected by what is still wrong, by
    another share of that each time, lest it go to and fro.

    Args:
        words: listed words.
        vectors: what is to be composed. *Shape:* ``(n_words, dim)``.
        ngrams: the n-grams' rows.
    """
    own = np.zeros(vectors.shape, dtype=np.float32)
    for batch, buckets in _batches(words, ngrams):
        target, rows = vectors[batch], np.arange(len(buckets))
        guess = own[batch]
        for step in range(MAX_CORRECTIONS):
            chosen = [buckets[row] for row in rows]
            error = target[rows] - _mean(guess[rows], chosen, ngrams.vectors)
            share = 1 if step % 2 == 0 else 0.5 + 0.5 * step / MAX_CORRECTIONS
            guess[rows] += np.float32(share) * error * np.array([[len(of_word) + 1] for of_word in chosen], np.float32)
            rows = rows[error.any(axis=1)]
            if not len(rows):
                break
    return own


def _batches(words: Sequence[str], ngrams: NgramVectors) -> Iterator[tuple[slice, list[list[int]]]]:
    """Places of words, and for each word the buckets of its n-grams."""
    from gensim.models.fasttext import ft_ngram_hashes  # a second to import

    for start in range(0, len(words), WORDS_A_BATCH):
        batch = slice(start, start + WORDS_A_BATCH)
        yield batch, [ft_ngram_hashes(word, ngrams.min_n, ngrams.max_n, len(ngrams.vectors)) for word in words[batch]]


def _mean(own: Vectors, buckets: Sequence[Sequence[int]], ngrams: Vectors) -> Vectors:
    mean = np.array(own, dtype=np.float32)
    counts = np.array([len(of_word) for of_word in buckets])
    for place in range(counts.max()):
        rows = np.flatnonzero(counts > place).tolist()
        mean[rows] += ngrams[[buckets[row][place] for row in rows]]
    mean /= (counts + 1).astype(np.float32)[:, None]
    return mean
