"""Overlapping windows over long texts; each window over a context is preceded by the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from embeddings.tokenization.interface import Span
from pipeline.data.examples import Answer


class Window(NamedTuple):
    """A window over the words of a context.

    Attributes:
        spans: spans of all words of the context in its text.
        start: index of the first word of the window.
        n_words: number of words in the window.
        offset: position of the first word in the model's input.
    """

    spans: Sequence[Span]
    start: int
    n_words: int
    offset: int

    def target(self, answer: Answer) -> tuple[int, int] | None:
        """Return the positions of an answer's first and last word in the input; None if it is not inside."""
        end = answer.start + len(answer.text)
        touched = [i for i, span in enumerate(self.spans) if span.start < end and span.end > answer.start]
        if not touched or touched[0] < self.start or touched[-1] >= self.start + self.n_words:
            return None
        return touched[0] - self.start + self.offset, touched[-1] - self.start + self.offset


def windows(spans: Sequence[Span], *, n_question: int, max_length: int, overlap: int) -> list[Window]:
    """Divide a context into overlapping windows.

    Args:
        spans: spans of the words of the context.
        n_question: number of words of the question, which precedes each window.
        max_length: maximum input length: question, window and three special tokens.
        overlap: number of words that neighbouring windows share; at most half a window.
    """
    room = max(1, max_length - n_question - 3)
    return [Window(spans, start, min(room, len(spans) - start), n_question + 2)
            for start in starts(len(spans), room=room, overlap=overlap)]


def starts(n_words: int, *, room: int, overlap: int) -> range:
    """Return the start of each window over a text.

    Args:
        n_words: length of the text.
        room: length of a window; the last one may be shorter.
        overlap: number of words that neighbouring windows share; at most half a window.
    """
    step = room - min(overlap, room // 2)
    return range(0, max(1, n_words - room + step), step)
