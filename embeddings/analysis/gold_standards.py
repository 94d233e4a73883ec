"""The files that word vectors are measured on: pairs of words with a judged similarity, and analogy questions.

Formats: ``word1 word2 score`` a line (WordSim-353, SimLex-999, MEN, ...); word2vec's ``questions-words.txt``, four
words a line under lines ``: section``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from embeddings.errors import EmbeddingError

SHIPPED_PAIRS = ("wordsim353.tsv", "simlex999.txt")  # of gensim's test data
SHIPPED_QUESTIONS = ("questions-words.txt",)
ENDINGS = (".tsv", ".csv", ".txt")


class Pair(NamedTuple):
    """Two words, and how alike people found them."""

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
    """Read word pairs and their scores, with tabs, commas or spaces between; a header and ``#`` comments may stand.

    Raises:
        EmbeddingError: if the file cannot be read, holds no pair, or has a line that is none; the message names it.
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
        raise EmbeddingError(f"{path}: holds no pair of words; a line of it should be 'word1 word2 score'")
    return pairs


def read_questions(path: Path) -> dict[str, list[Question]]:
    """Read analogy questions by section.

    Raises:
        EmbeddingError: if the file cannot be read, holds no question, or has a line that is neither a section nor a
            question; the message names it.
    """
    sections: dict[str, list[Question]] = {}
    current: list[Question] | None = None
    for number, line in _lines(path):
        if line.startswith(":"):
            current = sections.setdefault(line.lstrip(": "), [])
            continue
        words = line.split()
        if current is None:
            raise EmbeddingError(f"{path}:{number}: a question before the first section; begin with a line ': NAME'")
        if len(words) != 4:
            raise EmbeddingError(f"{path}:{number}: expected four words (A is to B as C is to D), found {line[:60]!r}")
        current.append(Question(*words))
    if not any(sections.values()):
        raise EmbeddingError(f"{path}: holds no analogy question; a line of it should be four words")
    return sections


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, and those of the folders that are (``.tsv``, ``.csv``, ``.txt``, by name).

    Raises:
        EmbeddingError: if a path is missing, or a folder holds no such file.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise EmbeddingError(f"{path}: no such file or folder of word pairs or questions")
        found = sorted(p for p in path.iterdir() if p.suffix in ENDINGS) if path.is_dir() else [path]
        if not found:
            raise EmbeddingError(f"{path}: the folder holds no {', '.join(ENDINGS)} file")
        files += found
    return files


def shipped(names: tuple[str, ...]) -> list[Path]:
    """The files of these names that gensim ships."""
    spec = find_spec("gensim")
    if spec is None or spec.origin is None:
        raise EmbeddingError("gensim, which ships the usual sets, is not installed; name files of your own")
    return [Path(spec.origin).parent / "test" / "test_data" / name for name in names]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers."""
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
