"""Intrinsic evaluation of word vectors: word similarity and analogies.

The scores equal gensim's ``evaluate_word_pairs`` and ``evaluate_word_analogies``: words are compared without regard to
case, the first of several words that differ in case only is used, and items with a word outside the most frequent ones
are excluded and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
from embeddings.progress import FractionCallback, Progress, ignore_fraction, silent
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import MISSING
from embeddings.table.row_maps import Vectors

N_WORDS = 300_000  # most frequent words that are evaluated, as in word2vec's script


@dataclass(frozen=True)
class SimilarityScore:
    """Score on word similarity.

    Attributes:
        n_pairs: number of pairs.
        n_found: number of pairs with two vectors; the others are excluded.
        spearman: Spearman's rank correlation of cosines and ratings, -1 to 1; None if fewer than two pairs were found
            or one side is constant.
    """

    n_pairs: int
    n_found: int
    spearman: float | None

    @property
    def found(self) -> float:
        """Fraction of the pairs that were found, 0 to 1."""
        return self.n_found / self.n_pairs


@dataclass(frozen=True)
class AnalogyScore:
    """Score on analogy questions.

    Attributes:
        n_questions: number of questions.
        n_found: number of questions with four vectors; the others are excluded.
        n_correct: number of correct answers.
    """

    n_questions: int
    n_found: int
    n_correct: int

    @property
    def accuracy(self) -> float | None:
        """Fraction of the found questions with a correct answer, 0 to 1; None if none was found."""
        return self.n_correct / self.n_found if self.n_found else None

    @property
    def found(self) -> float:
        """Fraction of the questions that were found, 0 to 1."""
        return self.n_found / self.n_questions if self.n_questions else 0.0


def total(scores: Iterable[AnalogyScore]) -> AnalogyScore:
    """Sum the scores of several sections."""
    counted = [(score.n_questions, score.n_found, score.n_correct) for score in scores]
    return AnalogyScore(*map(sum, zip(*counted, strict=True)))


class IntrinsicEvaluation:
    """Evaluates a table.

    Args:
        table: word vectors, the most frequent words first.
        n_words: number of leading words that are evaluated.
    """

    def __init__(self, table: EmbeddingTable, *, n_words: int = N_WORDS) -> None:
        self.vectors = table.vectors[:n_words]
        self.folded = [word.upper() for word in islice(table.words, n_words)]
        self.row: dict[str, int] = {}
        for row, (word, why) in enumerate(zip(self.folded, table.provenance, strict=False)):
            if why != MISSING:
                self.row.setdefault(word, row)

    def similarity(self, pairs: Sequence[Pair]) -> SimilarityScore:
        """Compute Spearman's rank correlation between cosines and ratings."""
        found = [pair for pair in pairs if pair.first.upper() in self.row and pair.second.upper() in self.row]
        first = self._rows(pair.first for pair in found).astype(np.float64)                  # (n_found, dim)
        second = self._rows(pair.second for pair in found).astype(np.float64)                # (n_found, dim)
        ratings = np.array([pair.score for pair in found])                                # (n_found,)
        return SimilarityScore(len(pairs), len(found), _spearman(_cosines(first, second), ratings))

    def analogies(
        self, sections: Mapping[str, Sequence[Question]], *, progress: FractionCallback = ignore_fraction
    ) -> dict[str, AnalogyScore]:
        """Answer each question by the word nearest to b - a + c (3CosAdd, Mikolov et al. 2013).

        Case is ignored, and the three words of the question are excluded as answers.

        Args:
            sections: questions by section.
            progress: progress callback.
        """
        complete = [(section, question) for section, questions in sections.items() for question in questions
                 if all(word.upper() in self.row for word in question)]
        words = sorted({word for _, question in complete for word in question})
        unit = dict(zip(words, to_unit_length(self._rows(words)), strict=True))
        points = np.array([unit[q.b] - unit[q.a] + unit[q.c] for _, q in complete], dtype=np.float32)
        correct = dict.fromkeys(sections, 0)
        if complete:
            without = self._rows_of([question[:3] for _, question in complete])
            answers, similarity = nearest_rows(self.vectors, points, 1, without=without, progress=progress)
            for (section, question), answer, value in zip(complete, answers[:, 0], similarity[:, 0], strict=True):
                correct[section] += np.isfinite(value) and self.folded[answer] == question.d.upper()
        found = dict.fromkeys(sections, 0)
        for section, _ in complete:
            found[section] += 1
        return {name: AnalogyScore(len(questions), found[name], correct[name]) for name, questions in sections.items()}

    def _rows(self, words: Iterable[str]) -> Vectors:
        return self.vectors[[self.row[word.upper()] for word in words]]

    def _rows_of(self, questions: Sequence[Sequence[str]]) -> tuple[Rows, Rows]:
        """Return every row of each question's words, in any case, as indices of questions and rows."""
        rows: dict[str, list[int]] = {word.upper(): [] for words in questions for word in words}
        for row, word in enumerate(self.folded):
            if word in rows:
                rows[word].append(row)
        pairs = [(i, row) for i, words in enumerate(questions) for word in words for row in rows[word.upper()]]
        indices, rows_of_words = np.array(pairs, dtype=np.intp).T
        return indices, rows_of_words


@dataclass(frozen=True)
class IntrinsicScores:
    """Scores on several data sets.

    Attributes:
        similarity: scores by data set.
        analogies: scores by data set and section.
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
    """Evaluate a table on files of word pairs and analogy questions.

    Args:
        table: word vectors, the most frequent words first.
        similarity: files or folders of word pairs.
        analogies: files or folders of analogy questions. If neither is given: WordSim-353, SimLex-999 and Google's
            analogies, which are part of gensim.
        n_words: number of leading words that are evaluated.
        progress: progress callback.

    Raises:
        EmbeddingError: if a file is missing or broken; all are read before the evaluation starts.
    """
    if not similarity and not analogies:
        similarity, analogies = shipped(SHIPPED_PAIRS), shipped(SHIPPED_QUESTIONS)
    pairs = {path: read_pairs(path) for path in files_of(similarity)}
    questions = {path: read_questions(path) for path in files_of(analogies)}
    evaluation = IntrinsicEvaluation(table, n_words=n_words)
    names = _names([*pairs, *questions])
    scored = {names[path]: evaluation.similarity(of_file) for path, of_file in pairs.items()}
    answered = {
        names[path]: evaluation.analogies(sections, progress=partial(progress, f"answering {path.name}"))
        for path, sections in questions.items()
    }
    return IntrinsicScores(scored, answered)


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the file name of each path, or the whole path if two files have the same name."""
    counts = Counter(path.name for path in paths)
    return {path: path.name if counts[path.name] == 1 else str(path) for path in paths}


def _cosines(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine of each pair of rows; exactly 1 for equal rows, 0 for a zero row."""
    squares = (first * first).sum(axis=1) * (second * second).sum(axis=1)
    cosines: NDArray[np.float64] = (first * second).sum(axis=1) / np.sqrt(np.where(squares > 0, squares, 1))
    return cosines


def _spearman(cosines: NDArray[np.float64], ratings: NDArray[np.float64]) -> float | None:
    from scipy.stats import spearmanr

    if len(cosines) < 2 or np.ptp(cosines) == 0 or np.ptp(ratings) == 0:
        return None
    return float(spearmanr(cosines, ratings).statistic)
