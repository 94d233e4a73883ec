"""Long texts as the model reads them, in overlapping pieces; a question stands before each piece of its context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from embeddings.tokenization.tokenizer import Span
from pipeline.data.examples import Answer


class Window(NamedTuple):
    """Some words of a context, side by side.

    Attributes:
        places: of all the context's words in its text.
        start: the number of the window's first word among them.
        n_words: how many words there are.
        offset: where the first of them stands in what the model reads.
    """

    places: Sequence[Span]
    start: int
    n_words: int
    offset: int

    def target(self, answer: Answer) -> tuple[int, int] | None:
        """Where the answer's first and last word stand in what the model reads; None if one is not in the window."""
        end = answer.start + len(answer.text)
        touched = [i for i, place in enumerate(self.places) if place.start < end and place.end > answer.start]
        if not touched or touched[0] < self.start or touched[-1] >= self.start + self.n_words:
            return None
        return touched[0] - self.start + self.offset, touched[-1] - self.start + self.offset


def windows(places: Sequence[Span], *, n_question: int, max_length: int, overlap: int) -> list[Window]:
    """Cut a context; each window but the first begins with the last words of the one before.

    Args:
        places: of the context's words.
        n_question: words of the question that is read with each window.
        max_length: words that the model reads at once: the question, the window and three special ones.
        overlap: words that two neighbours share; at most half a window.
    """
    room = max(1, max_length - n_question - 3)
    return [Window(places, start, min(room, len(places) - start), n_question + 2)
            for start in starts(len(places), room=room, overlap=overlap)]


def starts(n_words: int, *, room: int, overlap: int) -> range:
    """Where overlapping pieces of a text begin.

    Args:
        n_words: its length.
        room: words of a piece; the last may have fewer.
        overlap: words that two neighbours share; at most half a piece.
    """
    step = room - min(overlap, room // 2)
    return range(0, max(1, n_words - room + step), step)
