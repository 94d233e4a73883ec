"""Vector files in text: a word and its numbers on each line, as GloVe, word2vec and fastText write them.

Format: https://nlp.stanford.edu/projects/glove/ (no header), word2vec's ``-binary 0`` (first line ``n_words dim``).
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings.corpus import unpacked
from embeddings.errors import VectorFileError

LINES_TO_GUESS_FROM = 100
ROWS_A_PARSE = 4096
LINES_A_TELLING = 8192


def read_text_vectors(
    path: Path,
    keep: Callable[[str, int], bool],
    *,
    limit: int | None = None,
    tell: Callable[[float], None] = lambda _share: None,
) -> tuple[list[str], NDArray[np.float32]]:
    """Read the wanted rows of a text vector file, plain or gzip.

    A word may hold spaces: the numbers are counted from the right. Of a word that stands twice the first is taken. The
    numbers of rows that are not wanted are counted but not parsed.

    Args:
        path: the file.
        keep: given a word and how many rows were read before it, whether its row is wanted.
        limit: read no more than this many rows.
        tell: told now and then the share of the file that was read, 0 to 1.

    Returns:
        The words, and their vectors: float32. *Shape:* ``(n_words, dim)``.

    Raises:
        VectorFileError: if the file is missing, empty, or has a line with too few numbers or something that is no
            number; the message names the line.
    """
    try:
        return _read(path, keep, limit, tell)
    except FileNotFoundError as error:
        raise VectorFileError(f"{path}: no such file of vectors") from error
    except IsADirectoryError as error:
        raise VectorFileError(f"{path}: a folder, not a file of vectors") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise VectorFileError(f"{path}: broken gzip file ({error})") from error


def _read(
    path: Path, keep: Callable[[str, int], bool], limit: int | None, tell: Callable[[float], None]
) -> tuple[list[str], NDArray[np.float32]]:
    dim, has_header = _shape(path)
    words: dict[str, None] = {}
    parts: list[NDArray[np.float32]] = []
    pending: list[tuple[int, bytes]] = []  # the numbers of kept rows, not parsed yet
    size = path.stat().st_size
    with path.open("rb") as packed, unpacked(packed) as file:
        lines = enumerate(file, start=1)
        for row, (number, line) in enumerate(islice(lines, int(has_header), None)):
            if limit is not None and row >= limit:
                break
            word, numbers = _cut(line, dim, path, number)
            if word not in words and keep(word, row):
                words[word] = None
                pending.append((number, numbers))
            if not number % LINES_A_TELLING:
                tell(packed.tell() / size)
            if len(pending) == ROWS_A_PARSE:
                parts.append(_parse(pending, dim, path))
                pending.clear()
    parts.append(_parse(pending, dim, path))
    return list(words), np.concatenate(parts)


def _shape(path: Path) -> tuple[int, bool]:
    """Width of the vectors, and whether the first line is a header."""
    with path.open("rb") as packed, unpacked(packed) as file:
        lines = list(islice(file, LINES_TO_GUESS_FROM))
    if not lines:
        raise VectorFileError(f"{path}: the file is empty")
    header = lines[0].split()
    has_header = len(header) == 2 and all(field.isdigit() for field in header)
    widths = Counter(len(line.split()) - 1 for line in lines)  # most words hold no space
    dim = int(header[1]) if has_header else widths.most_common(1)[0][0]
    if dim < 1:
        raise VectorFileError(f"{path}:1: expected a word and its numbers, found {_shown(lines[0])}")
    return dim, has_header


def _cut(line: bytes, dim: int, path: Path, number: int) -> tuple[str, bytes]:
    line = line.strip(b" \t\r\n")
    if line.count(b" ") == dim:  # the common case, several times quicker than cutting every number off
        word, _, numbers = line.partition(b" ")
    else:
        fields = line.rsplit(None, dim)
        if len(fields) != dim + 1:
            found = len(line.split()) - 1
            raise VectorFileError(f"{path}:{number}: expected {dim} numbers after the word, found {max(found, 0)}")
        word, numbers = fields[0], b" ".join(fields[1:])
    return word.decode("utf-8", errors="replace"), numbers


def _parse(rows: list[tuple[int, bytes]], dim: int, path: Path) -> NDArray[np.float32]:
    """Parse the numbers of many rows at once; if that fails, find the row that is to blame."""
    vectors = _numbers(b" ".join(numbers for _, numbers in rows), len(rows) * dim)
    if vectors is None:
        for number, numbers in rows:
            if _numbers(numbers, dim) is None:
                raise VectorFileError(f"{path}:{number}: not {dim} finite numbers: {_shown(numbers)}")
    assert vectors is not None
    return vectors.reshape(len(rows), dim)


def _numbers(text: bytes, n: int) -> NDArray[np.float32] | None:
    try:
        parsed = np.array(text.split(), dtype=np.float32)
    except ValueError:
        return None
    return parsed if len(parsed) == n and np.isfinite(parsed).all() else None


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", errors="replace").strip()
    return repr(shown if len(shown) <= 60 else shown[:57] + "…")
