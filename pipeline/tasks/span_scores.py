"""From the scores of starts and ends to answers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from embeddings.tokenization.tokenizer import Span
from pipeline.data.features.windows import Window

Floats = NDArray[np.float64]


class SpanScores:
    """The score of every span of a context that may be an answer: log-probability of its start plus that of its end.

    Where windows overlap, a span has the higher of its scores; that there is no answer has the lowest of the windows'.

    Args:
        context: the text.
        max_words: longest answer.
    """

    def __init__(self, context: str, max_words: int) -> None:
        self.context, self.max_words = context, max_words
        self.places: list[Span] = []
        self.scores: Floats = np.empty((0, max_words))
        self.none = math.inf

    def add(self, window: Window, scores: Floats) -> None:
        """Take a window's scores in.

        Args:
            window: which words they are of.
            scores: log-probability of every word that the model read as start and as end. *Shape:* ``(length, 2)``.
        """
        if not len(self.scores):
            self.places = list(window.places)
            self.scores = np.full((len(self.places), self.max_words), -np.inf)
        start, end = scores[window.offset : window.offset + window.n_words].T
        ends = sliding_window_view(np.append(end, np.full(self.max_words, -np.inf)), self.max_words)
        here = self.scores[window.start : window.start + window.n_words]
        np.maximum(here, start[:, None] + ends[: len(start)], out=here)
        self.none = min(self.none, float(scores[0].sum()))

    def prediction(self, n_candidates: int, threshold: float) -> dict[str, Any]:
        """The best answer and some after it; "" if there being none scores higher by more than the threshold."""
        if not len(self.scores):
            return {"answer": "", "start": None, "end": None, "probability": 1.0, "candidates": []}
        flat = self.scores.ravel()
        may_be_none = threshold != math.inf
        total = np.logaddexp.reduce(np.append(flat, self.none) if may_be_none else flat)
        best = np.argsort(-flat, kind="stable")[:n_candidates]
        candidates = [self._candidate(int(i), math.exp(flat[i] - total)) for i in best if flat[i] > -np.inf]
        if not may_be_none:
            return {**candidates[0], "candidates": candidates}
        no_answer = self.none - float(flat[best[0]])
        none = {"answer": "", "start": None, "end": None, "probability": math.exp(self.none - total)}
        answer = none if no_answer > threshold else candidates[0]
        return {**answer, "no_answer": no_answer, "candidates": candidates}

    def _candidate(self, number: int, probability: float) -> dict[str, Any]:
        first, more = divmod(number, self.max_words)
        start, end = self.places[first].start, self.places[first + more].end
        return {"answer": self.context[start:end], "start": start, "end": end, "probability": probability}
