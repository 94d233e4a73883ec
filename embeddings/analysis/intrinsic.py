"""How good word vectors are by themselves: word similarity and analogies, as the field scores them.

The scores are those of gensim's ``evaluate_word_pairs`` and ``evaluate_word_analogies``: case is folded, the first word
of several that differ in case alone stands for them, and what holds a word outside the most frequent ones is left out
and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings.analysis.gold_standards import (
    SHIPPED_PAIRS,
    SHIPPED_QUESTIONS,
    Pair,
    Question,
    files_of,
    read_pairs,
    read_questions,
    shipped,
)
from embeddings.analysis.neighbors import Rows, nearest_rows, to_unit_length
from embeddings.progress import Progress, silent
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import MISSING
from embeddings.table.row_maps import Vectors

N_WORDS = 300_000  # the most frequent words that are looked at, as word2vec's own script does


@dataclass(frozen=True)
class SimilarityScore:
    """How well cosines rank pairs of words.

    Attributes:
        n_pairs: of the set.
        n_found: pairs of which both words have a vector; the others do not count.
        spearman: rank correlation of cosines and judgements, -1 to 1; None if fewer than two pairs were found or
            either side is all the same.
    """

    n_pairs: int
    n_found: int
    spearman: float | None

    @property
    def found(self) -> float:
        """Share of the pairs that were found, 0 to 1."""
        return self.n_found / self.n_pairs


@dataclass(frozen=True)
class AnalogyScore:
    """How many analogy questions are answered rightly.

    Attributes:
        n_questions: that were asked.
        n_found: questions of which all four words have a vector; the others do not count.
        n_correct: questions answered rightly.
    """

    n_questions: int
    n_found: int
    n_correct: int

    @property
    def accuracy(self) -> float | None:
        """Share of the found questions that are answered rightly, 0 to 1; None if none was found."""
        return self.n_correct / self.n_found if self.n_found else None

    @property
    def found(self) -> float:
        """Share of the questions that were found, 0 to 1."""
        return self.n_found / self.n_questions if self.n_questions else 0.0


def total(scores: Iterable[AnalogyScore]) -> AnalogyScore:
    """All sections as one."""
    counted = [(score.n_questions, score.n_found, score.n_correct) for score in scores]
    return AnalogyScore(*map(sum, zip(*counted, strict=True)))


class IntrinsicEvaluation:
    """Scores a table.

    Args:
        table: its most frequent words first, as files list them.
        n_words: how many of its words count; the rest are as if they were not there.
    """

    def __init__(self, table: EmbeddingTable, *, n_words: int = N_WORDS) -> None:
        self.vectors = table.vectors[:n_words]
        self.folded = [word.upper() for word in islice(table.words, n_words)]
        self.row: dict[str, int] = {}
        for row, (word, why) in enumerate(zip(self.folded, table.provenance, strict=False)):
            if why != MISSING:
                self.row.setdefault(word, row)

    def similarity(self, pairs: Sequence[Pair]) -> SimilarityScore:
        """Spearman's rank correlation between cosines and judgements."""
        found = [pair for pair in pairs if pair.first.upper() in self.row and pair.second.upper() in self.row]
        first = self._rows(pair.first for pair in found).astype(np.float64)                  # (n_found, dim)
        second = self._rows(pair.second for pair in found).astype(np.float64)                # (n_found, dim)
        judgements = np.array([pair.score for pair in found])                                # (n_found,)
        return SimilarityScore(len(pairs), len(found), _spearman(_cosines(first, second), judgements))

    def analogies(
        self, sections: Mapping[str, Sequence[Question]], *, tell: Callable[[float], None] = lambda _share: None
    ) -> dict[str, AnalogyScore]:
        """Answer each question by the word nearest to b - a + c (3CosAdd), in whatever case.

        The three words asked with are no answers, in whatever case.

        Args:
            sections: the questions by section.
            tell: told the share that is done, 0 to 1.
        """
        asked = [(section, question) for section, questions in sections.items() for question in questions
                 if all(word.upper() in self.row for word in question)]
        words = sorted({word for _, question in asked for word in question})
        unit = dict(zip(words, to_unit_length(self._rows(words)), strict=True))
        points = np.array([unit[q.b] - unit[q.a] + unit[q.c] for _, q in asked], dtype=np.float32)
        correct = dict.fromkeys(sections, 0)
        if asked:
            without = self._rows_of([question[:3] for _, question in asked])
            answers, similarity = nearest_rows(self.vectors, points, 1, without=without, tell=tell)
            for (section, question), answer, value in zip(asked, answers[:, 0], similarity[:, 0], strict=True):
                correct[section] += np.isfinite(value) and self.folded[answer] == question.d.upper()
        found = dict.fromkeys(sections, 0)
        for section, _ in asked:
            found[section] += 1
        return {name: AnalogyScore(len(questions), found[name], correct[name]) for name, questions in sections.items()}

    def _rows(self, words: Iterable[str]) -> Vectors:
        return self.vectors[[self.row[word.upper()] for word in words]]

    def _rows_of(self, asked: Sequence[Sequence[str]]) -> tuple[Rows, Rows]:
        """Every row of each question's words, in any case, as numbers of questions and of rows."""
        rows: dict[str, list[int]] = {word.upper(): [] for words in asked for word in words}
        for row, word in enumerate(self.folded):
            if word in rows:
                rows[word].append(row)
        pairs = [(number, row) for number, words in enumerate(asked) for word in words for row in rows[word.upper()]]
        numbers, refused = np.array(pairs, dtype=np.intp).T
        return numbers, refused


@dataclass(frozen=True)
class IntrinsicScores:
    """The scores on several sets.

    Attributes:
        similarity: by the name of the set.
        analogies: by the name of the set and of the section.
    """

    similarity: dict[str, SimilarityScore]
    analogies: dict[str, dict[str, AnalogyScore]]


def evaluate_files(
    table: EmbeddingTable,
    similarity: Sequence[Path] = (),
    analogies: Sequence[Path] = (),
    *,
    n_words: int = N_WORDS,
    progress: Progress = silent,
) -> IntrinsicScores:
    """Score a table on files of word pairs and of analogy questions.

    Args:
        table: its most frequent words first.
        similarity: files or folders of word pairs.
        analogies: files or folders of analogy questions. If neither is given, what gensim ships: WordSim-353,
            SimLex-999 and Google's analogies.
        n_words: how many of the table's words count.
        progress: told how far long work has come.

    Raises:
        EmbeddingError: if a file is missing or broken; all are read before anything is scored.
    """
    if not similarity and not analogies:
        similarity, analogies = shipped(SHIPPED_PAIRS), shipped(SHIPPED_QUESTIONS)
    pairs = {path: read_pairs(path) for path in files_of(similarity)}
    questions = {path: read_questions(path) for path in files_of(analogies)}
    judge = IntrinsicEvaluation(table, n_words=n_words)
    names = _names([*pairs, *questions])
    scored = {names[path]: judge.similarity(of_file) for path, of_file in pairs.items()}
    answered = {
        names[path]: judge.analogies(sections, tell=partial(progress, f"answering {path.name}"))
        for path, sections in questions.items()
    }
    return IntrinsicScores(scored, answered)


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """A file's own name, or all of its path where two have one name."""
    often = Counter(path.name for path in paths)
    return {path: path.name if often[path.name] == 1 else str(path) for path in paths}


def _cosines(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of each row with its counterpart; exactly 1 for a row with itself, 0 for a row of zeros."""
    squares = (first * first).sum(axis=1) * (second * second).sum(axis=1)
    cosines: NDArray[np.float64] = (first * second).sum(axis=1) / np.sqrt(np.where(squares > 0, squares, 1))
    return cosines


def _spearman(cosines: NDArray[np.float64], judgements: NDArray[np.float64]) -> float | None:
    from scipy.stats import spearmanr

    if len(cosines) < 2 or np.ptp(cosines) == 0 or np.ptp(judgements) == 0:
        return None
    return float(spearmanr(cosines, judgements).statistic)
