"""Readers of gold standards: word pairs with human similarity ratings, and analogy questions.

Formats: lines ``word1 word2 score`` (WordSim-353, SimLex-999, MEN, ...); word2vec's ``questions-words.txt``, lines of
four words in sections that start with ``: NAME``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from embeddings.errors import EmbeddingError

SHIPPED_PAIRS = ("wordsim353.tsv", "simlex999.txt")  # in gensim's test data
SHIPPED_QUESTIONS = ("questions-words.txt",)
SUFFIXES = (".tsv", ".csv", ".txt")


class Pair(NamedTuple):
    """Two words and their human similarity rating."""

    first: str
    second: str
    score: float


class Question(NamedTuple):
    """``a`` is to ``b`` as ``c`` is to ``d``."""

    a: str
    b: str
    c: str
    d: str


def read_pairs(path: Path) -> list[Pair]:
    """Read word pairs separated by tabs, commas or spaces; a header and ``#`` comments are skipped.

    Raises:
        EmbeddingError: if the file cannot be read, contains no pair, or has an invalid line, which the message names.
    """
    lines = [(number, line) for number, line in _lines(path) if not line.startswith("#")]
    pairs = []
    for place, (number, line) in enumerate(lines):
        cells = [cell.strip() for cell in re.split(_separator(line), line)]
        score = _number(cells[-1])
        if score is None and place == 0 and len(cells) > 1:
            continue  # the header
        if len(cells) != 3 or score is None or not all(cells):
            raise EmbeddingError(f"{path}:{number}: expected 'word1 word2 score', found {line[:60]!r}")
        pairs.append(Pair(cells[0], cells[1], score))
    if not pairs:
        raise EmbeddingError(f"{path}: contains no word pair; expected lines 'word1 word2 score'")
    return pairs


def read_questions(path: Path) -> dict[str, list[Question]]:
    """Read analogy questions by section.

    Raises:
        EmbeddingError: if the file cannot be read, contains no question, or has an invalid line; the message
            names it.
    """
    sections: dict[str, list[Question]] = {}
    current: list[Question] | None = None
    for number, line in _lines(path):
        if line.startswith(":"):
            current = sections.setdefault(line.lstrip(": "), [])
            continue
        words = line.split()
        if current is None:
            raise EmbeddingError(f"{path}:{number}: a question before the first section; start with a line ': NAME'")
        if len(words) != 4:
            raise EmbeddingError(f"{path}:{number}: expected four words (A is to B as C is to D), found {line[:60]!r}")
        current.append(Question(*words))
    if not any(sections.values()):
        raise EmbeddingError(f"{path}: contains no analogy question; expected lines of four words")
    return sections


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Return the files, and the ``.tsv``, ``.csv`` and ``.txt`` files of the folders, by name.

    Raises:
        EmbeddingError: if a path is missing, or a folder contains no such file.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise EmbeddingError(f"{path}: no such file or folder; check the path")
        found = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES) if path.is_dir() else [path]
        if not found:
            raise EmbeddingError(f"{path}: the folder contains no {', '.join(SUFFIXES)} file")
        files += found
    return files


def shipped(names: tuple[str, ...]) -> list[Path]:
    """Return the paths of files in gensim's test data."""
    spec = find_spec("gensim")
    if spec is None or spec.origin is None:
        raise EmbeddingError("the default gold standards are part of gensim, which is not installed; name files")
    return [Path(spec.origin).parent / "test" / "test_data" / name for name in names]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise EmbeddingError(f"{path}: {error.strerror or error}") from error
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise EmbeddingError(f"{path}:{number}: not UTF-8 ({error.reason}); convert the file with iconv") from error
        if text:
            yield number, text


def _separator(line: str) -> str:
    return r"\t" if "\t" in line else "," if "," in line else r"\s+"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
