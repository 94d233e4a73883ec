"""Select answers by the scores of their first and last words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from embeddings.tokenization.interface import Span
from pipeline.data.features.windows import Window

Floats = NDArray[np.float64]


class SpanScores:
    """Scores of all candidate spans of a context: log-probability of the first word plus that of the last.

    A word begins with its first token and ends with its last one.

    A span inside several windows has the maximum of its scores; no answer has the minimum of its scores over windows.

    Args:
        context: the text.
        max_words: maximum length of an answer in words.
    """

    def __init__(self, context: str, max_words: int) -> None:
        self.context, self.max_words = context, max_words
        self.spans: list[Span] = []
        self.scores: Floats = np.empty((0, max_words))
        self.none = math.inf

    def add(self, window: Window, scores: Floats) -> None:
        """Add the scores of a window.

        Args:
            window: the window.
            scores: log-probability of every token of the input as first and as last token. *Shape:* ``(length, 2)``.
        """
        if not len(self.scores):
            self.spans = list(window.words.spans)
            self.scores = np.full((len(self.spans), self.max_words), -np.inf)
        words, tokens = _inside(window)
        start, end = scores[window.offset + tokens, [[0], [1]]]                            # (n_words,) each
        ends = sliding_window_view(np.append(end, np.full(self.max_words, -np.inf)), self.max_words)
        here = self.scores[words]
        np.maximum(here, start[:, None] + ends[: len(start)], out=here)
        self.none = min(self.none, float(scores[0].sum()))

    def prediction(self, n_candidates: int, threshold: float) -> dict[str, Any]:
        """Return the best answer and the best candidates.

        Args:
            n_candidates: number of candidates.
            threshold: predict no answer ("") if its score exceeds that of the best span by more than this.
        """
        if not len(self.scores):
            return {"answer": "", "start": None, "end": None, "probability": 1.0, "candidates": []}
        flat = self.scores.ravel()
        may_abstain = threshold != math.inf
        total = np.logaddexp.reduce(np.append(flat, self.none) if may_abstain else flat)
        best = np.argsort(-flat, kind="stable")[:n_candidates]
        candidates = [self._candidate(int(i), math.exp(flat[i] - total)) for i in best if flat[i] > -np.inf]
        if not may_abstain:
            return {**candidates[0], "candidates": candidates}
        no_answer = self.none - float(flat[best[0]])
        none = {"answer": "", "start": None, "end": None, "probability": math.exp(self.none - total)}
        answer = none if no_answer > threshold else candidates[0]
        return {**answer, "no_answer": no_answer, "candidates": candidates}

    def _candidate(self, number: int, probability: float) -> dict[str, Any]:
        first, more = divmod(number, self.max_words)
        start, end = self.spans[first].start, self.spans[first + more].end
        return {"answer": self.context[start:end], "start": start, "end": end, "probability": probability}


def _inside(window: Window) -> tuple[slice, NDArray[np.int64]]:
    """Return the words that have a token in a window, and the first and the last of these tokens.

    Returns:
        The words, and indices in the window. *Shape:* ``(2, n_words)``.
    """
    bounds, stop = window.words.bounds, window.start + window.n_words
    first = int(np.searchsorted(bounds, window.start, side="right")) - 1
    last = int(np.searchsorted(bounds[:-1], stop))
    return slice(first, last), np.stack([np.maximum(bounds[first:last], window.start) - window.start,
                                         np.minimum(bounds[first + 1:last + 1], stop) - 1 - window.start])
