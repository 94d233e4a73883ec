"""Overlapping windows over long texts; each window over a context is preceded by the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from embeddings.tokenization.interface import Span
from pipeline.data.examples import Answer
from pipeline.data.features.whole_words import WholeWords, each_token


class Window(NamedTuple):
    """A window over the tokens of a context.

    Attributes:
        spans: spans of all tokens of the context in its text.
        start: index of the first token of the window.
        n_words: number of tokens in the window.
        offset: position of the first token in the model's input.
        words: the words of the context; those at the ends of a window may have further tokens outside it.
    """

    spans: Sequence[Span]
    start: int
    n_words: int
    offset: int
    words: WholeWords

    def target(self, answer: Answer) -> tuple[int, int] | None:
        """Return the positions in the input of the first and last token of an answer; None if it is not inside.

        These are the first token of its first word and the last token of its last word.
        """
        end = answer.start + len(answer.text)
        touched = [i for i, span in enumerate(self.words.spans) if span.start < end and span.end > answer.start]
        if not touched:
            return None
        first, last = int(self.words.bounds[touched[0]]), int(self.words.bounds[touched[-1] + 1]) - 1
        if first < self.start or last >= self.start + self.n_words:
            return None
        return first - self.start + self.offset, last - self.start + self.offset


def windows(
    spans: Sequence[Span], *, n_question: int, max_length: int, overlap: int, words: WholeWords | None = None
) -> list[Window]:
    """Divide a context into overlapping windows.

    Args:
        spans: spans of the tokens of the context.
        n_question: number of tokens of the question, which precedes each window.
        max_length: maximum input length: question, window and three special tokens.
        overlap: number of tokens that neighbouring windows share; at most half a window.
        words: the words of the context; None if each token is one.
    """
    room = max(1, max_length - n_question - 3)
    return [Window(spans, start, min(room, len(spans) - start), n_question + 2, words or each_token(spans))
            for start in starts(len(spans), room=room, overlap=overlap)]


def starts(n_words: int, *, room: int, overlap: int) -> range:
    """Return the start of each window over a text.

    Args:
        n_words: number of tokens of the text.
        room: length of a window; the last one may be shorter.
        overlap: number of tokens that neighbouring windows share; at most half a window.
    """
    step = room - min(overlap, room // 2)
    return range(0, max(1, n_words - room + step), step)
