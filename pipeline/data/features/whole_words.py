"""The words of a text that is split into tokens, each of which is a word or a part of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.tokenization.interface import Span, TextTokenizer


class WholeWords(NamedTuple):
    """The words of a text, and the tokens of each.

    Attributes:
        spans: the words and their positions in the text.
        bounds: index of the first token of each word, followed by the number of tokens. *Shape:* ``(n_words + 1,)``.
    """

    spans: Sequence[Span]
    bounds: NDArray[np.int64]


def each_token(tokens: Sequence[Span]) -> WholeWords:
    """Return the words of a text whose tokens are its words."""
    return WholeWords(tokens, np.arange(len(tokens) + 1))


def whole_words(text: str, tokens: Sequence[Span], tokenizer: TextTokenizer) -> WholeWords:
    """Group the tokens of a text into words; words that have a token in common are one.

    Args:
        text: the text.
        tokens: its tokens.
        tokenizer: the tokenizer of the tokens.
    """
    splitter = tokenizer.word_tokenizer()
    if splitter is tokenizer:
        return each_token(tokens)
    words = splitter.spans(text)
    starts = np.array([word.start for word in words], dtype=np.int64)
    spans: list[Span] = []
    bounds: list[int] = []
    last = None
    for i, token in enumerate(tokens):
        first, final = (np.searchsorted(starts, [token.start, max(token.start, token.end - 1)], side="right") - 1)
        end = max(token.end, words[final].end if final >= 0 else 0)
        if bounds and first == last:
            start = spans.pop().start
        else:
            bounds.append(i)
            start = min(token.start, words[first].start) if first >= 0 else token.start
            start = max(start, spans[-1].end) if spans else start
        spans.append(Span(text[start:end], start, end))
        last = final
    return WholeWords(spans, np.array([*bounds, len(tokens)], dtype=np.int64))
