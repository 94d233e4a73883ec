"""Tables written in any format that can hold them, told by the ending of the file's name."""

from __future__ import annotations

import gzip
import logging
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from embeddings.errors import EmbeddingError
from embeddings.formats import fasttext_binary
from embeddings.table import EmbeddingTable
from embeddings.table.oov_composers import NgramVectors

ROWS_A_BLOCK = 4096
log = logging.getLogger("vecformer")

READABLE = 0o644  # safetensors and temporary folders make files that only their owner can read


def write_vectors(table: EmbeddingTable, path: Path) -> None:
    """Write a table; the file appears whole, or not at all.

    ``.txt`` is text as GloVe's, ``.vec`` text with a header line (either also ``.gz``), ``.bin`` fastText's model if
    the table composes words from n-grams, else word2vec's binary, ``.npy`` an array with its words in ``.words.txt``
    beside, ``.safetensors`` vecformer's own table, the only one that keeps provenance and transforms.

    Raises:
        EmbeddingError: if the ending is none of these, a word is one that the format cannot hold, or the place cannot
            be written to.
    """
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    write, refuses = _writer(ending.lower(), table, path)
    for word in table.words:
        if refuses(word):
            raise EmbeddingError(f"{path}: the word {word!r} cannot stand in a {ending} file; write .safetensors")
    if table.composer is not None and write not in (EmbeddingTable.save, _write_fasttext):
        log.warning("%s: a %s file keeps no vectors of parts of words; write .safetensors to keep them", path, ending)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".vecformer-") as folder:
            write(table, Path(folder) / path.name)
            for made in sorted(Path(folder).iterdir(), key=lambda file: file.name == path.name):  # what is beside first
                made.chmod(READABLE)
                made.replace(path.with_name(made.name))
    except OSError as error:
        raise EmbeddingError(f"{path}: cannot be written ({error.strerror or error})") from error


Writer = Callable[[EmbeddingTable, Path], object]
Refusal = Callable[[str], bool]


def _writer(ending: str, table: EmbeddingTable, path: Path) -> tuple[Writer, Refusal]:
    if ending == ".safetensors":
        return EmbeddingTable.save, _is_unwritable
    if ending == ".npy":
        return _write_npy, lambda word: "\n" in word or word.endswith("\r") or _is_unwritable(word)
    if ending in (".txt", ".txt.gz"):
        return _write_text, lambda word: _is_lost_in_text(word) or (table.dim == 1 and word.isdigit())  # a header
    if ending in (".vec", ".vec.gz"):
        return _write_text_with_header, lambda word: " " in word or _is_lost_in_text(word)
    if ending == ".bin":
        if isinstance(table.composer, NgramVectors) and len(table.composer.vectors):
            return _write_fasttext, lambda word: "\0" in word or _is_unwritable(word)
        return _write_word2vec, lambda word: " " in word or word.startswith("\n") or _is_unwritable(word)
    raise EmbeddingError(f"{path}: no format has the ending {ending!r}; there are .safetensors, .txt, .vec (either "
                         "also .gz), .bin and .npy")


def _is_unwritable(word: str) -> bool:
    return not word.isascii() and any("\ud800" <= character <= "\udfff" for character in word)


def _is_lost_in_text(word: str) -> bool:
    """Whether a reader of lines would find another word."""
    return "\n" in word or "\t" in word or word != word.strip(" ") or _is_unwritable(word)


def _write_text(table: EmbeddingTable, path: Path) -> None:
    with _created(path) as file:
        file.writelines(_lines(table))


def _write_text_with_header(table: EmbeddingTable, path: Path) -> None:
    with _created(path) as file:
        file.write(f"{len(table)} {table.dim}\n".encode())
        file.writelines(_lines(table))


def _created(path: Path) -> gzip.GzipFile | IO[bytes]:
    if path.suffix.lower() == ".gz":
        return gzip.GzipFile(path, "wb", mtime=0)  # the same table, the same bytes
    return path.open("wb")


def _lines(table: EmbeddingTable) -> Iterator[bytes]:
    """Blocks of lines, each number with as few digits as tell it from its float32 neighbours."""
    import pyarrow
    import pyarrow.compute as pc

    for start in range(0, len(table), ROWS_A_BLOCK):
        rows = table.vectors[start : start + ROWS_A_BLOCK]
        numbers = pyarrow.array(np.ascontiguousarray(rows).ravel()).cast(pyarrow.string())
        ends = np.arange(0, rows.size + 1, table.dim, dtype=np.int32)
        joined = pc.binary_join(pyarrow.ListArray.from_arrays(pyarrow.array(ends), numbers), " ")
        words = pyarrow.array(table.words[start : start + ROWS_A_BLOCK], pyarrow.string())
        lines = pc.binary_join_element_wise(words, joined, " ")
        yield ("\n".join(lines.to_pylist()) + "\n").encode()


def _write_npy(table: EmbeddingTable, path: Path) -> None:
    np.save(path, table.vectors, allow_pickle=False)
    path.with_suffix(".words.txt").write_bytes("".join(f"{word}\n" for word in table.words).encode())


def _write_word2vec(table: EmbeddingTable, path: Path) -> None:
    with path.open("wb") as file:
        file.write(f"{len(table)} {table.dim}\n".encode())
        file.writelines(word.encode() + b" " + row.astype("<f4").tobytes() + b"\n"
                        for word, row in zip(table.words, table.vectors, strict=True))


def _write_fasttext(table: EmbeddingTable, path: Path) -> None:
    """What a table does not keep is made up: counts by rank, settings of training, an output matrix of zeros."""
    composer = table.composer
    assert isinstance(composer, NgramVectors)
    n_buckets = len(composer.vectors)
    with path.open("wb") as file:
        file.write(fasttext_binary.MAGIC + struct.pack("<i", fasttext_binary.VERSIONS[-1]))
        file.write(fasttext_binary.ARGUMENTS.pack(table.dim, 5, 5, 1, 5, 1, 2, 2, n_buckets, composer.min_n,
                                                  composer.max_n, 100, 1e-4))
        file.write(fasttext_binary.DICTIONARY.pack(len(table), len(table), 0, sum(range(len(table) + 1)), -1))
        for rank, word in enumerate(table.words):
            file.write(word.encode() + b"\0" + fasttext_binary.ENTRY.pack(len(table) - rank, 0))
        file.write(fasttext_binary.MATRIX.pack(False, len(table) + n_buckets, table.dim))
        file.write(fasttext_binary.own_rows(table.words, table.vectors, composer).astype("<f4").tobytes())
        file.write(composer.vectors.astype("<f4").tobytes())
        file.write(fasttext_binary.MATRIX.pack(False, len(table), table.dim))
        file.write(np.zeros(table.vectors.size, "<f4").tobytes())
