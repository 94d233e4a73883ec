"""Bilingual dictionaries, and the alignment of the word vectors of two languages by one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from embeddings.errors import EmbeddingError
from embeddings.table import EmbeddingTable
from embeddings.table.row_maps import Affine
from embeddings.tokenization.corpus import CorpusFiles

MIN_PAIRS = 2  # fewer do not determine a rotation


def read_dictionary(path: Path) -> list[tuple[str, str]]:
    """Read pairs of words, one on each line, separated by a tab or by spaces (the format of MUSE).

    Args:
        path: text file, plain or compressed; the first word is of the checkpoint's language.

    Raises:
        EmbeddingError: if it cannot be read, or a line is not a pair.
    """
    pairs = []
    for number, line in enumerate(CorpusFiles((path,)).lines(), start=1):
        words = [word.strip() for word in (line.split("\t") if "\t" in line else line.split())]
        if not any(words):
            continue
        if len(words) != 2 or not all(words):
            raise EmbeddingError(f"{path}:{number}: not a pair of words; write two words on each line, that of the "
                                 "checkpoint's language first, separated by a tab")
        pairs.append((words[0], words[1]))
    return pairs


def aligned(new: EmbeddingTable, old: EmbeddingTable, pairs: Iterable[tuple[str, str]]) -> EmbeddingTable:
    """Rotate word vectors of the new language onto those of the checkpoint's language.

    The rotation minimises the squared distances of the pairs (orthogonal Procrustes, Schönemann 1966).

    Args:
        new: vectors of the new language.
        old: vectors of the checkpoint's language.
        pairs: words of the checkpoint's language and their translations.

    Raises:
        EmbeddingError: if the dimensions differ, or fewer than two pairs have vectors.
    """
    from scipy.linalg import orthogonal_procrustes

    if new.dim != old.dim:
        raise EmbeddingError(f"{new.source} has dimension {new.dim}, but {old.source} {old.dim}; use vectors of the "
                             "same dimension")
    known = [(theirs, ours) for theirs, ours in pairs if theirs in old and ours in new]
    if len(known) < MIN_PAIRS:
        raise EmbeddingError(f"{len(known)} pairs of the dictionary have vectors in {old.source} and {new.source}, but "
                             f"at least {MIN_PAIRS} are needed; use a dictionary of more frequent words, and check "
                             "that the words of the checkpoint's language come first")
    theirs, ours = (list(words) for words in zip(*known, strict=True))
    rotation, _ = orthogonal_procrustes(np.asarray(new.vectors[[new.index[word] for word in ours]], np.float64),
                                        np.asarray(old.vectors[[old.index[word] for word in theirs]], np.float64))
    return new.transformed(Affine(np.zeros(new.dim, np.float32), rotation.astype(np.float32)), "procrustes")
